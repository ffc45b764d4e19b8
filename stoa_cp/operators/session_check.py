"""Lets no session of the console live on after the provider has ended it, or after the person has lost the role.

mozilla-django-oidc's ``SessionRefresh`` sends a GET that comes more than 15 minutes after the last check to the
provider, with ``prompt=none``: the browser comes back at once if the person is still signed in there, and roles are
read again on the way. Other requests it lets pass. This subclass executes none of them either.
"""

import time
from http import HTTPStatus

import structlog
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from mozilla_django_oidc.middleware import SessionRefresh
from structlog.contextvars import bind_contextvars

from stoa_cp.identity.provider import ProviderFailure
from stoa_cp.net.client_address import client_address
from stoa_cp.operators.session_store import SEEN_AT
from stoa_cp.operators.single_sign_on import setting_or_discovered

logger = structlog.get_logger(__name__)

CONSOLE_PREFIX = "/admin/"
SAFE_METHODS = frozenset({"GET", "HEAD"})
# A session is idle to the minute: one UPDATE a minute for each person, instead of one for each request.
SECONDS_BETWEEN_NOTES = 60


class SessionCheckMiddleware(SessionRefresh):  # type: ignore[misc]  # the package publishes no types
    """Sends requests of sessions that are due to the provider, and notes that a session is in use.

    It stands after the middlewares of sessions, users and messages. Sessions with a password have no provider: their
    rights are read from the user's row at each request, like all others'.
    """

    @staticmethod
    def get_settings(attr: str, *args: object) -> object:
        return setting_or_discovered(attr, *args)

    def is_refreshable_url(self, request: HttpRequest) -> bool:
        """Tell whether the check concerns the request; in the package, it concerns GETs only."""
        # While the provider is away, people must be able to sign out, and to sign in with a password.
        if request.path in {reverse("admin:logout"), reverse("admin:login")}:
            return False
        method, request.method = request.method, "GET"  # the package's rule is right but for the method
        try:
            return bool(super().is_refreshable_url(request))
        finally:
            request.method = method

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        # Other paths have no sessions, and a look at the session would make their responses vary by cookie.
        if not request.path.startswith(CONSOLE_PREFIX):
            return None
        # For the events of this request.
        bind_contextvars(address=client_address(request))
        if not request.user.is_authenticated:
            return None
        try:
            to_provider: HttpResponse | None = super().process_request(request)
        except ProviderFailure as failure:
            logger.warning("session_not_checked", error=str(failure))
            sentence = _("The identity provider does not answer. Try again in a moment.")
            return _page(request, sentence, status=HTTPStatus.SERVICE_UNAVAILABLE)
        if to_provider is None:
            self._note_use(request)
            return None
        return to_provider if request.method in SAFE_METHODS else _nothing_was_done(request)

    def _note_use(self, request: HttpRequest) -> None:
        if time.time() - request.session.get(SEEN_AT, 0) > SECONDS_BETWEEN_NOTES:
            request.session.modified = True  # it is saved then, which moves its end


def _nothing_was_done(request: HttpRequest) -> HttpResponse:
    """Answer a write that was not executed, so that the person comes back to where it was made."""
    sentence = _("Nothing was changed: your sign-in had to be confirmed first. Please repeat what you did.")
    if "HX-Request" in request.headers:  # a dialog: the page behind it is loaded again, and its GET is checked
        messages.warning(request, sentence)
        return HttpResponse(headers={"HX-Refresh": "true"})
    # A page, and not a redirect: browsers apply the policy ``form-action 'self'`` to the redirects of a form, too, and
    # would not follow it to the provider.
    return _page(request, sentence, status=HTTPStatus.FORBIDDEN)


def _page(request: HttpRequest, sentence: str, *, status: int) -> HttpResponse:
    context = admin.site.each_context(request) | {
        "sentence": sentence,
        "back": request.get_full_path(),
        "is_provider_away": status == HTTPStatus.SERVICE_UNAVAILABLE,
        # Nothing of the console is shown: whether the person may still see it is what could not be told.
        "sidebar_navigation": [],
    }
    return render(request, "admin/session_check.html", context, status=status)
