"""The operators' login to the admin with OpenID Connect's code flow, for the role cpi-admin only.

mozilla-django-oidc keeps the state, the nonce and the PKCE verifier of the flow. The subclasses here add what it lacks:

- All claims of the ID token are checked (OpenID Connect Core 1.0 §3.1.3.7).
- Users are found by subject. The package finds them by e-mail address, which people can change, and which may be
  given to another person later.
- Roles come from the verified access token. Keycloak puts no roles into ID tokens, and the admin then has the same
  rule as the REST API. The package requests ``/userinfo`` instead, which has no roles either.
- Each call to the provider has a deadline.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import structlog
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
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

from stoa_cp.domain.actors import Actor, operator, person
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.claims import is_addressed_to, text_of
from stoa_cp.identity.provider import ProviderFailure, deadline_in, discover, endpoint, fetch_json
from stoa_cp.identity.tokens import TokenInvalid, read_token, verify_access_token

logger = structlog.get_logger(__name__)

# Longer than for signing keys (2 s): a person waits for the login, and the provider may have to ask an LDAP directory.
PROVIDER_SECONDS = 5.0
MAX_USERNAME_CHARS = 150  # the length of Django's column
USERNAME_PREFIX = "oidc-"
# Where the session keeps the subject that the provider has proved. Not read from the username at each request: an
# operator may edit usernames, and a user with a password may be called like another person's subject.
SUBJECT_IN_SESSION = "stoa_subject"
# Settings of mozilla-django-oidc → members of the provider's metadata (OpenID Connect Discovery 1.0 §3).
ENDPOINTS = {
    "OIDC_OP_AUTHORIZATION_ENDPOINT": "authorization_endpoint",
    "OIDC_OP_TOKEN_ENDPOINT": "token_endpoint",
    "OIDC_OP_USER_ENDPOINT": "userinfo_endpoint",
    "OIDC_OP_JWKS_ENDPOINT": "jwks_uri",
}


class NotAnOperator(DomainError):
    """The person is logged in at the identity provider, but has not the role cpi-admin."""

    code = ErrorCode.FORBIDDEN
    detail_code = "missing_role"
    message = _("Your account lacks the role cpi-admin.")


class OperatorBackend(OIDCAuthenticationBackend):  # type: ignore[misc]  # the package publishes no types
    """Django's authentication backend for the last step of the code flow: from the code to a user."""

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
        except DomainError as refusal:
            self._explain(request, refusal, refusal.message)
            return None
        except (ProviderFailure, SuspiciousOperation) as failure:
            self._explain(request, failure, _("The identity provider did not confirm the login."))
            return None
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
        """Return the user of the subject, with all rights. Raises NotAnOperator without the role, or TokenInvalid."""
        actor = verify_access_token(str(access_token)).actor
        if actor.id != payload["sub"]:  # the two tokens must be about the same person
            raise TokenInvalid
        if not actor.is_platform:
            # The person may have had the role at an earlier login. Sessions that are still open lose their rights, too.
            withdraw_rights(actor)
            raise NotAnOperator
        return grant_rights(actor, payload)

    def _explain(self, request: HttpRequest | None, cause: Exception, sentence: str | Promise) -> None:
        logger.warning("operator_login_refused", error=repr(cause))
        if request is not None:
            messages.error(request, str(sentence))


class OperatorLoginView(OIDCAuthenticationRequestView):  # type: ignore[misc]  # the package publishes no types
    """The first step of the code flow: redirects the browser to the identity provider."""

    @staticmethod
    def get_settings(attr: str, *args: object) -> object:
        return setting_or_discovered(attr, *args)

    def get(self, request: HttpRequest) -> HttpResponse:
        try:
            response: HttpResponse = super().get(request)
        except ProviderFailure as failure:
            logger.warning("operator_login_not_started", error=str(failure))
            messages.error(request, _("The identity provider does not answer. Try again in a moment."))
            return redirect(settings.LOGIN_REDIRECT_URL_FAILURE)
        return response


class OperatorCallbackView(OIDCAuthenticationCallbackView):  # type: ignore[misc]  # the package publishes no types
    """The last step of the code flow: opens the session, and notes in it which person was proved."""

    def login_success(self) -> HttpResponse:
        response: HttpResponse = super().login_success()
        self.request.session[SUBJECT_IN_SESSION] = subject_of_username(self.user.get_username())
        return response


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


def grant_rights(actor: Actor, claims: Mapping[str, Any]) -> User:
    """Return the operator's user as staff and superuser. The first login creates the user, without a password."""
    # The slices are the lengths of Django's columns.
    described = {
        "email": text_of(claims, "email", 254),
        "first_name": text_of(claims, "given_name", 150),
        "last_name": text_of(claims, "family_name", 150),
        "is_staff": True,
        "is_superuser": True,
    }
    user, _created = get_user_model().objects.update_or_create(
        username=username_of(actor),
        defaults=described,
        create_defaults=described | {"password": make_password(None)},
    )
    return user


def withdraw_rights(actor: Actor) -> None:
    """Take staff and superuser rights from the user of ``actor``, if there is one."""
    get_user_model().objects.filter(username=username_of(actor)).update(is_staff=False, is_superuser=False)


def username_of(actor: Actor) -> str:
    """Return the username of a subject: the same at every login, and different for different subjects.

    Django's usernames have letters, digits and ``@ . + - _`` only. Other characters are percent-encoded, with ``+`` in
    the place of ``%``: ``|`` becomes ``+7C``. The prefix keeps subjects apart from users with a password.
    Raises TokenInvalid if the result is too long for a username: a shortened one could belong to another subject.
    """
    username = USERNAME_PREFIX + quote(actor.id, safe="@").replace("%", "+").replace("~", "+7E")
    if len(username) > MAX_USERNAME_CHARS:
        raise TokenInvalid
    return username


def subject_of_username(username: str) -> str:
    """Return the subject of a username that ``username_of`` made."""
    return unquote(username.removeprefix(USERNAME_PREFIX).replace("+", "%"))


def _discovered(name: str) -> str:
    return endpoint(discover(settings.STOA_OIDC_ISSUER, until=deadline_in(PROVIDER_SECONDS)), name)
