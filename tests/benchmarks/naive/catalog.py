"""The obvious list and detail: a model serializer, a page with its count, and the token verified on each call."""

import os
from typing import Any

import jwt
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.viewsets import ModelViewSet

from catalog.models import Api
from stoa_cp.domain.actors import Actor
from tenants.models import Tenant

signing_keys = jwt.PyJWKClient(os.environ.get("NAIVE_JWKS_URL", "http://127.0.0.1/certs"))


class AccessTokens(BaseAuthentication):
    def authenticate(self, request: Any) -> tuple[Actor, None]:
        token = get_authorization_header(request).partition(b" ")[2].decode()
        try:
            claims = verify(token, signing_keys)
        except jwt.PyJWTError:
            raise AuthenticationFailed from None
        return Actor(claims["sub"], frozenset(claims["realm_access"]["roles"]), (claims["tenant_id"],)), None


class ApiSerializer(serializers.ModelSerializer[Api]):
    version = serializers.CharField(source="api_version")
    rate_limit = serializers.SerializerMethodField()
    public_url = serializers.ReadOnlyField()

    class Meta:
        model = Api
        fields = [
            *("id", "tenant_id", "name", "description", "upstream_url", "path", "version", "auth_required"),
            *("rate_limit", "public_url", "openapi_url", "status", "deprecated_at", "sunset_at", "created_at"),
            "updated_at",
        ]

    def get_rate_limit(self, api: Api) -> dict[str, int | None]:
        return {"requests_per_hour": api.requests_per_hour}


class Pages(PageNumberPagination):
    page_size = 20


class ApiViewSet(ModelViewSet[Api]):
    authentication_classes = [AccessTokens]
    permission_classes = [IsAuthenticated]
    serializer_class = ApiSerializer
    pagination_class = Pages

    def get_queryset(self) -> QuerySet[Api]:
        named = Tenant.objects.filter(deleted_at=None, name__in=self.request.user.tenants)  # type: ignore[union-attr]  # an Actor
        tenant = get_object_or_404(named, name=self.kwargs["tenant"])
        apis: QuerySet[Api] = tenant.apis.filter(deleted_at=None)
        return apis


def verify(token: str, keys: jwt.PyJWKClient) -> dict[str, Any]:
    key = keys.get_signing_key_from_jwt(token)
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], audience="control-plane-api")
    return claims
