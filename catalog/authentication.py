"""Authenticates gateways: by a token of their own, or by a bearer token with the role ``stoa-gateway``."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import structlog
from django.db import OperationalError
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from catalog.models import Gateway
from catalog.services.gateways import TOKEN_PREFIX
from stoa_cp.caching.cache import Cache
from stoa_cp.crypto.credentials import digests, is_well_formed, pepper_fingerprints
from stoa_cp.db.prepared import fetch_one
from stoa_cp.domain.actors import GATEWAY, Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.authentication import authenticate_bearer
from stoa_cp.net.client_address import Network, client_address, sender_address

logger = structlog.get_logger(__name__)

HEADER = "X-Stoa-Gateway-Token"
# A prepared statement, because a gateway presents its token with every call of every consumer, and Django would build
# and plan its query anew each time. The last column is true once a minute per gateway: then its use is written, so
# that a gateway costs one write a minute however many calls it makes.
FIND_GATEWAY = """
SELECT id, token_digest, allowed_ips, tenants, COALESCE(last_seen_at <= statement_timestamp() - interval '60 s', true)
FROM catalog_gateway
WHERE token_digest = ANY(%(digests)s::bytea[]) AND deleted_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class BoundGateway:
    """A gateway as an actor, and what its credential is bound to: None is everywhere, and all tenants (ids)."""

    actor: Actor
    allowed_ips: tuple[Network, ...] | None = None
    tenants: frozenset[str] | None = None

    def may_call_from(self, meta: Mapping[str, Any]) -> bool:
        """Return True if the request comes from a network that the token is accepted from."""
        if self.allowed_ips is None:
            return True
        address = sender_address(meta)
        return any(address in network for network in self.allowed_ips)


gateway_cache: Cache[tuple[bytes, ...], BoundGateway] = Cache()  # by the token's digests; listed in the settings


class GatewayTokenInvalid(DomainError):
    """The token was not issued here, was replaced by a rotation, or its gateway is deleted.

    Or it came from an address that it is not accepted from. The answer is the same, so that it confirms no stolen
    token.
    """

    code = ErrorCode.UNAUTHORIZED
    detail_code = "token_invalid"
    message = _("The gateway token is not valid.")


def authenticate_gateway(request: HttpRequest) -> BoundGateway:
    """Return the gateway that sends a request; without a gateway token, the bearer of a token, bound to nothing.

    Whether a bearer has the role of a gateway is checked by the caller. Raises GatewayTokenInvalid, or what
    authenticate_bearer raises.
    """
    token = request.headers.get(HEADER)
    if token is None:
        return BoundGateway(authenticate_bearer(request.headers.get("Authorization", "")))
    return authenticate_gateway_token(token, request)


def authenticate_gateway_token(token: str, request: HttpRequest) -> BoundGateway:
    """Return the gateway that sends a request with ``token``. Raises GatewayTokenInvalid."""
    gateway = cached_gateway(token) or load_gateway(token)
    if gateway is None:
        raise GatewayTokenInvalid
    if not gateway.may_call_from(request.META):
        logger.warning("gateway_address_refused", gateway=gateway.actor.id, address=client_address(request))
        raise GatewayTokenInvalid
    return gateway


def cached_gateway(token: str) -> BoundGateway | None:
    """Return the gateway that has ``token``, if this process has it cached."""
    return gateway_cache.get(tuple(digests(token)))


def load_gateway(token: str) -> BoundGateway | None:
    """Return the gateway that has ``token``, from the database; None if no live gateway has it."""
    # The checksum refuses a mistyped token without a query.
    if not is_well_formed(token, TOKEN_PREFIX):
        return None
    known = digests(token)
    with gateway_cache.loading(tuple(known)) as keep:
        found = fetch_one(FIND_GATEWAY, {"digests": known})
        if found is None:
            return None
        gateway_id, digest, allowed_ips, tenants, is_use_unrecorded = found
        gateway = BoundGateway(
            Actor(id=gateway_id, roles=frozenset({GATEWAY})),
            None if allowed_ips is None else tuple(map(ip_network, allowed_ips)),
            None if tenants is None else frozenset(tenants),
        )
        keep(gateway, gateway_id)
    if is_use_unrecorded:
        _record_use(gateway_id, digest, known[0])
    return gateway


def _record_use(gateway_id: str, digest: bytes, newest_digest: bytes) -> None:
    """Set ``last_seen_at``; a token that was found by an older pepper gets its newest digest with it."""
    # Only where the token is still the one that was found. A rotation may have come in between: without the condition,
    # the old token's digest would replace the new one's, so that the old token is accepted again.
    use = Gateway.objects.filter(pk=gateway_id, token_digest=digest)
    pepper = pepper_fingerprints()[0]
    try:
        if digest == newest_digest:
            use.update(last_seen_at=Now(), token_pepper=pepper)
        else:
            # Not always: setting the digest notifies the caches, also if it stays as it is.
            use.update(last_seen_at=Now(), token_pepper=pepper, token_digest=newest_digest)
    except OperationalError:
        # A lock that was waited for too long, for one. The token is right all the same; a later call records its use.
        logger.warning("gateway_use_not_recorded", gateway=gateway_id, exc_info=True)


class GatewayAuthentication(BaseAuthentication):
    """Authenticates calls under ``/v1/gateway/``, which the API middleware leaves to it.

    ``request.auth`` is the BoundGateway.
    """

    def authenticate(self, request: Request) -> tuple[Actor, BoundGateway]:
        gateway = authenticate_gateway(request._request)  # noqa: SLF001 - REST framework has no public name for Django's request
        return gateway.actor, gateway

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="stoa"'


class GatewayAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # it registers itself
    """The gateway's own token."""

    target_class = GatewayAuthentication
    name = "gatewayToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": HEADER}
