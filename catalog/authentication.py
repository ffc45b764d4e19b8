"""How a gateway says who it is: by its own token, or by a bearer token with the role ``stoa-gateway``."""

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from catalog.gateways import cached_gateway, find_gateway
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.authentication import authenticate_bearer

HEADER = "X-Stoa-Gateway-Token"


class GatewayTokenInvalid(DomainError):
    """The gateway's token is none of ours, was rotated away, or its gateway was withdrawn."""

    code = ErrorCode.UNAUTHORIZED
    detail_code = "token_invalid"
    message = _("The gateway token is not valid.")


def authenticate_gateway(headers: Mapping[str, str]) -> Actor:
    """Return the gateway, or the bearer of a token that may have its role.

    Raises GatewayTokenInvalid, or without a gateway's token as authenticate_bearer does.
    """
    token = headers.get(HEADER)
    if token is None:
        return authenticate_bearer(headers.get("Authorization", ""))
    gateway = cached_gateway(token) or find_gateway(token)
    if gateway is None:
        raise GatewayTokenInvalid
    return gateway


class GatewayAuthentication(BaseAuthentication):
    """Authenticates calls under ``/v1/gateway/``, which the gate lets through unseen."""

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
