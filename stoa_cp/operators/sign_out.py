"""Signs out in both directions: from the console at the provider, and from the provider in the console.

- OpenID Connect RP-Initiated Logout 1.0: who signs out here is signed out at the provider, too.
- OpenID Connect Back-Channel Logout 1.0: who signs out there, or is signed out there, is signed out here at once.
"""

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import redis
import structlog
from django.conf import settings
from django.contrib.auth import get_user_model, logout
from django.contrib.auth.models import User
from django.core.cache import caches
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import ErrorCode
from stoa_cp.identity.claims import is_addressed_to, subject_of
from stoa_cp.identity.jwks import IdentityProviderUnavailable
from stoa_cp.identity.provider import ProviderFailure
from stoa_cp.identity.tokens import LEEWAY_SECONDS, LOGOUT_HEADER_TYPES, TokenExpired, TokenInvalid, read_token
from stoa_cp.operators.accounts import username_of
from stoa_cp.operators.sessions import end_provider_sessions, record_sign_out
from stoa_cp.operators.single_sign_on import ID_TOKEN, operator_of, provider_session_of, setting_or_discovered
from stoa_cp.rest.problems import Problem, respond, respond_to

logger = structlog.get_logger(__name__)

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class SignOutView(View):
    """Ends the session here, then sends the browser to the provider, which ends its own."""

    http_method_names = ("post",)  # a GET could be caused by any page with an image

    def post(self, request: HttpRequest) -> HttpResponseBase:
        provider_url = _provider_url(request)
        if request.user.is_authenticated:
            record_sign_out(request.user, by=operator_of(request))
        logout(request)
        if provider_url is None:
            return redirect(settings.LOGIN_REDIRECT_URL_FAILURE)
        response = render(request, "admin/signing_out.html", {"provider_url": provider_url})
        # Not a redirect: browsers apply the policy ``form-action 'self'`` to the redirects of a form, too.
        response.headers["Refresh"] = f"0; url={provider_url}"
        response.headers["Cache-Control"] = "no-store"
        return response


@method_decorator(csrf_exempt, name="dispatch")  # the provider calls, and no browser: the token is the proof
class BackChannelLogoutView(View):
    """Ends the sessions that a logout token names (OpenID Connect Back-Channel Logout 1.0 §2.5–2.8)."""

    http_method_names = ("post",)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        try:
            claims = read_logout_token(request.POST.get("logout_token", ""))
            # The use is noted last, as Redis undoes nothing: if the database fails before it, the provider can send the
            # same token again. A token that was used before ends no session, because the refusal rolls back.
            with transaction.atomic():
                ended = end_provider_sessions(_user_of(claims), provider_session_of(claims))
                _use_once(claims)
        except (TokenInvalid, TokenExpired) as refusal:
            logger.warning("logout_token_refused", error=repr(refusal))
            return respond(Problem(ErrorCode.VALIDATION_ERROR))  # §2.8 demands 400, and not the 401 of a bearer token
        except IdentityProviderUnavailable as failure:
            return respond_to(failure)
        logger.info("provider_ended_sessions", count=ended)
        return HttpResponse(headers={"Cache-Control": "no-store"})


def read_logout_token(token: str) -> dict[str, Any]:
    """Return the claims of a logout token (§2.4, §2.6), used or not.

    Raises TokenInvalid, TokenExpired or IdentityProviderUnavailable.
    """
    claims, _key = read_token(token, header_types=LOGOUT_HEADER_TYPES)
    events, token_id = claims.get("events"), claims.get("jti")
    is_logout = (
        is_addressed_to(claims, settings.OIDC_RP_CLIENT_ID)
        and isinstance(events, dict)
        and isinstance(events.get(LOGOUT_EVENT), dict)
        # An ID token has a nonce: it must not pass for a logout token.
        and "nonce" not in claims
        and claims.get("typ", "Logout") == "Logout"  # as Keycloak names the kind of a token
        and ("sub" in claims or provider_session_of(claims) != "")
    )
    if not is_logout or not isinstance(token_id, str) or not token_id:
        raise TokenInvalid
    return claims


def _use_once(claims: Mapping[str, Any]) -> None:
    """Raise TokenInvalid if the token was used: sent again, it would sign people out who have signed in again."""
    key = f"logout-token:{sha256(claims['jti'].encode(errors='replace')).hexdigest()}"
    seconds = int(claims["exp"]) - int(time.time()) + LEEWAY_SECONDS
    try:
        is_first = caches["counters"].add(key, 1, timeout=seconds)
    except redis.RedisError:
        # To end sessions is the safe side: a replayed token costs people a login.
        logger.warning("logout_token_not_noted", exc_info=True)
        return
    if not is_first:
        raise TokenInvalid


def _user_of(claims: Mapping[str, Any]) -> User | None:
    subject = subject_of(claims)
    if subject is None:
        return None
    return get_user_model().objects.filter(username=username_of(Actor(subject))).first()


def _provider_url(request: HttpRequest) -> str | None:
    """Return where the provider's session ends; None if a password began the session, or the provider is away."""
    id_token = request.session.get(ID_TOKEN)
    if not id_token:
        return None
    parameters = {
        "id_token_hint": id_token,
        "client_id": settings.OIDC_RP_CLIENT_ID,
        "post_logout_redirect_uri": request.build_absolute_uri(reverse("admin:index")),
    }
    try:
        return f"{setting_or_discovered('OIDC_OP_LOGOUT_ENDPOINT')}?{urlencode(parameters)}"
    except ProviderFailure as failure:
        logger.warning("provider_session_not_ended", error=str(failure))
        return None
