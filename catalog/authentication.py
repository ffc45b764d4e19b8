"""Authenticates gateways: by a token of their own, or by a bearer token with the role ``stoa-gateway``."""

from collections.abc import Mapping

from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from catalog.models import Gateway
from catalog.services.gateways import TOKEN_PREFIX
from stoa_cp.caching.cache import Cache
from stoa_cp.crypto.credentials import digests, is_well_formed
from stoa_cp.db.prepared import fetch_one
from stoa_cp.domain.actors import GATEWAY, Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.authentication import authenticate_bearer

HEADER = "X-Stoa-Gateway-Token"
# A prepared statement, because a gateway presents its token with every call of every consumer, and Django would build
# and plan its query anew each time. The second column is true once a minute per gateway: then its use is written, so
# that a gateway costs one write a minute however many calls it makes.
FIND_GATEWAY = """
SELECT id, COALESCE(last_seen_at <= statement_timestamp() - interval '60 s', true)
FROM catalog_gateway
WHERE token_digest = ANY(%(digests)s::bytea[]) AND deleted_at IS NULL
"""

gateway_cache: Cache[tuple[bytes, ...], Actor] = Cache()  # by the token's digests; listed in the settings


class GatewayTokenInvalid(DomainError):
    """The token was not issued here, was replaced by a rotation, or its gateway is deleted."""

    code = ErrorCode.UNAUTHORIZED
    detail_code = "token_invalid"
    message = _("The gateway token is not valid.")


def authenticate_gateway(headers: Mapping[str, str]) -> Actor:
    """Return the gateway as an actor; without a gateway token, the actor of the bearer token.

    Whether a bearer has the role of a gateway is checked by the caller. Raises GatewayTokenInvalid, or what
    authenticate_bearer raises.
    """
    token = headers.get(HEADER)
    if token is None:
        return authenticate_bearer(headers.get("Authorization", ""))
    gateway = cached_gateway(token) or load_gateway(token)
    if gateway is None:
        raise GatewayTokenInvalid
    return gateway


def cached_gateway(token: str) -> Actor | None:
    """Return the gateway that has ``token``, if this process has it cached."""
    return gateway_cache.get(tuple(digests(token)))


def load_gateway(token: str) -> Actor | None:
    """Return the gateway that has ``token`` as an actor, from the database; None if no live gateway has it."""
    # The checksum refuses a mistyped token without a query.
    if not is_well_formed(token, TOKEN_PREFIX):
        return None
    known = digests(token)
    with gateway_cache.loading(tuple(known)) as keep:
        found = fetch_one(FIND_GATEWAY, {"digests": known})
        if found is None:
            return None
        gateway_id, is_use_unrecorded = found
        gateway = Actor(id=gateway_id, roles=frozenset({GATEWAY}))
        keep(gateway, gateway_id)
    if is_use_unrecorded:
        Gateway.objects.filter(pk=gateway_id).update(last_seen_at=Now())
    return gateway


class GatewayAuthentication(BaseAuthentication):
    """Authenticates calls under ``/v1/gateway/``, which the API middleware leaves to it."""

    def authenticate(self, request: Request) -> tuple[Actor, None]:
        return authenticate_gateway(request.headers), None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="stoa"'


class GatewayAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # it registers itself
    """The gateway's own token."""

    target_class = GatewayAuthentication
    name = "gatewayToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": HEADER}
