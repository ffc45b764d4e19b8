"""The operators' login to the console with OpenID Connect's code flow, for the roles of operators only.

mozilla-django-oidc keeps the state, the nonce and the PKCE verifier of the flow. The subclasses here add what it lacks:

- All claims of the ID token are checked (OpenID Connect Core 1.0 §3.1.3.7).
- Users are found by subject. The package finds them by e-mail address, which people can change, and which may be
  given to another person later.
- Roles come from the verified access token. Keycloak puts no roles into ID tokens, and the admin then has the same
  rule as the REST API. The package requests ``/userinfo`` instead, which has no roles either.
- Each call to the provider has a deadline.
- A callback that the console did not request changes nothing. In the package, one with ``?error=`` signs the
  person out who opens it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.translation import gettext_lazy as _
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from mozilla_django_oidc.utils import import_from_settings
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from stoa_cp.domain.actors import OPERATOR_READONLY, Actor, operator, person
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.claims import is_addressed_to, text_of
from stoa_cp.identity.provider import ProviderFailure, deadline_in, discover, endpoint, fetch_json
from stoa_cp.identity.tokens import AuthenticationTooWeak, TokenInvalid, read_token, verify_access_token
from stoa_cp.net.client_address import client_network
from stoa_cp.operators import login_state
from stoa_cp.operators.accounts import grant_rights, subject_of_username, withdraw_rights
from stoa_cp.operators.audit import record_failure
from stoa_cp.operators.session_store import PROVIDER_SESSION
from stoa_cp.operators.sessions import SINGLE_SIGN_ON, begin_session
from stoa_cp.ratelimit.limiter import RateLimit, hit
from stoa_cp.rest.problems import Problem, respond

logger = structlog.get_logger(__name__)

# Longer than for signing keys (2 s): a person waits for the login, and the provider may have to ask an LDAP directory.
PROVIDER_SECONDS = 5.0
MAX_PROVIDER_SESSION_CHARS = 255  # the length of the column; Keycloak's ids have 36
# Where the session keeps the subject that the provider has proved. Not read from the username at each request: a user
# with a password may be called like another person's subject.
SUBJECT_IN_SESSION = "stoa_subject"
ID_TOKEN = "oidc_id_token"  # noqa: S105 - where mozilla-django-oidc keeps it in the session
# Settings of mozilla-django-oidc → members of the provider's metadata (OpenID Connect Discovery 1.0 §3).
ENDPOINTS = {
    "OIDC_OP_AUTHORIZATION_ENDPOINT": "authorization_endpoint",
    "OIDC_OP_TOKEN_ENDPOINT": "token_endpoint",
    "OIDC_OP_USER_ENDPOINT": "userinfo_endpoint",
    "OIDC_OP_JWKS_ENDPOINT": "jwks_uri",
    "OIDC_OP_LOGOUT_ENDPOINT": "end_session_endpoint",
}


class NotAnOperator(DomainError):
    """The person is signed in at the identity provider, but has no role of an operator."""

    code = ErrorCode.FORBIDDEN
    detail_code = "missing_role"
    message = _("Your account lacks the role cpi-admin or stoa-operator-readonly.")


class OperatorBackend(OIDCAuthenticationBackend):  # type: ignore[misc]  # the package publishes no types
    """Django's authentication backend for the last step of the code flow: from the code to a user."""

    subject: str | None = None  # of the access token, once it is verified

    @staticmethod
    def get_settings(attr: str, *args: object) -> object:
        return setting_or_discovered(attr, *args)

    def authenticate(self, request: HttpRequest | None, **credentials: object) -> User | None:
        """Return the operator, or None and a message that the login page shows."""
        # Django tries every backend for a password login, too. Only the callback of the code flow has a nonce.
        if "nonce" not in credentials:
            return None
        try:
            user: User | None = super().authenticate(request, **credentials)
        except NotAnOperator as refusal:
            self._refuse(request, refusal, refusal.message, account=self.subject)
        except AuthenticationTooWeak as refusal:
            self._refuse(request, refusal, refusal.message)
        except (DomainError, ProviderFailure, SuspiciousOperation) as failure:
            self._refuse(request, failure, _("The identity provider did not confirm the login."))
        else:
            return user
        return None

    def get_user(self, user_id: int) -> User | None:
        """Return the user of a session. The package's method returns also those that were switched off here."""
        user: User | None = super(OIDCAuthenticationBackend, self).get_user(user_id)
        return user

    def get_token(self, payload: Mapping[str, str]) -> dict[str, Any]:
        """Exchange the code for tokens (RFC 6749 §4.1.3). Raises ProviderFailure."""
        return fetch_json(str(self.OIDC_OP_TOKEN_ENDPOINT), until=deadline_in(PROVIDER_SECONDS), form=payload)

    def verify_token(self, token: object, **kwargs: object) -> dict[str, Any]:
        """Return the ID token's claims (OpenID Connect Core 1.0 §3.1.3.7). Raises TokenInvalid.

        The nonce binds the token to this browser's login: a token from another login must not be accepted.
        """
        claims, _key = read_token(str(token))
        nonce, client_id = kwargs.get("nonce"), settings.OIDC_RP_CLIENT_ID
        is_ours = (
            claims.get("typ", "ID") == "ID"
            and is_addressed_to(claims, client_id)
            and claims.get("azp", client_id) == client_id
            and isinstance(claims.get("sub"), str)
        )
        if not is_ours or not nonce or not constant_time_compare(str(claims.get("nonce")), str(nonce)):
            raise TokenInvalid
        return claims

    def get_or_create_user(self, access_token: object, id_token: object, payload: dict[str, Any]) -> User:
        """Return the user of the subject, with its rights. Raises NotAnOperator without a role, or TokenInvalid."""
        actor = verify_access_token(str(access_token)).actor
        if actor.id != payload["sub"]:  # the two tokens must be about the same person
            raise TokenInvalid
        self.subject = actor.id
        if not actor.is_platform and OPERATOR_READONLY not in actor.roles:
            # The person may have had the role at an earlier login: its open sessions end, in every browser.
            withdraw_rights(actor)
            raise NotAnOperator
        self.request.session[PROVIDER_SESSION] = provider_session_of(payload)
        return grant_rights(actor, payload)

    def _refuse(
        self, request: HttpRequest | None, cause: Exception, sentence: str | Promise, account: str | None = None
    ) -> None:
        logger.warning("operator_login_refused", error=repr(cause))
        if request is not None:
            record_failure(request, account, method=SINGLE_SIGN_ON)
            messages.error(request, str(sentence))


class OperatorLoginView(OIDCAuthenticationRequestView):  # type: ignore[misc]  # the package publishes no types
    """The first step of the code flow: redirects the browser to the identity provider."""

    @staticmethod
    def get_settings(attr: str, *args: object) -> object:
        return setting_or_discovered(attr, *args)

    def get(self, request: HttpRequest) -> HttpResponse:
        # Each call is one to the provider, too.
        begun = hit(RateLimit(f"login-begun:{client_network(request)}", settings.STOA_LOGIN_RATE_LIMIT), request)
        if begun.is_exceeded:
            return respond(Problem(ErrorCode.RATE_LIMITED, headers=begun.headers()))
        try:
            response: HttpResponse = super().get(request)
        except ProviderFailure as failure:
            logger.warning("operator_login_not_started", error=str(failure))
            messages.error(request, _("The identity provider does not answer. Try again in a moment."))
            return redirect(settings.LOGIN_REDIRECT_URL_FAILURE)
        login_state.keep_in_browser(request, response)
        return response


class OperatorCallbackView(OIDCAuthenticationCallbackView):  # type: ignore[misc]  # the package publishes no types
    """The last step of the code flow: begins a session, or confirms the one that is open."""

    def get(self, request: HttpRequest) -> HttpResponse:
        login_state.restore(request)
        # An address that the console did not request: replayed, of another browser, or invented to sign a person out.
        if request.GET.get("state", "") not in request.session.get("oidc_states", {}):
            messages.error(request, _("This login is over. Sign in again."))
            response: HttpResponse = redirect(settings.LOGIN_REDIRECT_URL_FAILURE)
            login_state.forget(request, response)
            return response
        # Read now: the package empties the session if the provider answers with an error.
        self.next = request.session.get("oidc_login_next") or ""
        response = super().get(request)
        login_state.forget(request, response)
        return response

    def login_success(self) -> HttpResponse:
        session, user = self.request.session, self.request.user
        is_confirmed = user.is_authenticated and user == self.user
        # login() empties the session if another person had signed in there.
        proved = {name: session[name] for name in (ID_TOKEN, PROVIDER_SESSION) if name in session}
        response: HttpResponse = super().login_success()
        session.update(proved)
        session[SUBJECT_IN_SESSION] = subject_of_username(self.user.get_username())
        if not is_confirmed:
            begin_session(self.request, SINGLE_SIGN_ON, by=operator_of(self.request))
        return response

    def login_failure(self) -> HttpResponse:
        """End the session, if one was to be confirmed, and return to the login page, which leads back to ``next``."""
        if self.request.GET.get("error"):
            messages.warning(self.request, _("The identity provider did not sign you in. Sign in again."))
        if self.request.user.is_authenticated:
            logout(self.request)
        query = f"?{urlencode({'next': self.next})}" if self.next else ""
        return redirect(f"{settings.LOGIN_REDIRECT_URL_FAILURE}{query}")


def provider_session_of(claims: Mapping[str, Any]) -> str:
    """Return the claim ``sid``, or "" without one. One that the column cannot hold names no session of ours."""
    sid = text_of(claims, "sid", MAX_PROVIDER_SESSION_CHARS + 1)
    return "" if len(sid) > MAX_PROVIDER_SESSION_CHARS else sid


def operator_of(request: HttpRequest) -> Actor:
    """Return the actor of a console's session.

    It is the person's subject if the provider has opened the session, as over REST; else ``stoa:operator:<username>``.
    """
    user = request.user
    name = getattr(user, "get_full_name", str)() or user.get_username()
    subject = request.session.get(SUBJECT_IN_SESSION)
    return operator(user.get_username(), name=name) if subject is None else person(subject, name=name)


def setting_or_discovered(name: str, *default: object) -> object:
    """Return a setting of mozilla-django-oidc. An endpoint that is not set is discovered when it is first used.

    Lazily, because the package reads all settings whenever Django makes the backend, which happens at every password
    login and every permission check: each would make a request to the provider.
    """
    if name in ENDPOINTS:
        return getattr(settings, name, "") or SimpleLazyObject(lambda: _discovered(ENDPOINTS[name]))
    return import_from_settings(name, *default)


def _discovered(name: str) -> str:
    return endpoint(discover(settings.STOA_OIDC_ISSUER, until=deadline_in(PROVIDER_SECONDS)), name)
