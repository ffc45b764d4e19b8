"""The obvious verification: a serializer, the ORM, a lock on two counters, and a save of the key's last use."""

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotFound
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys.models import KeySecret
from catalog.models import Api, Gateway
from stoa_cp.crypto.credentials import digest
from stoa_cp.domain.actors import Actor
from subscriptions.models import Subscription
from tests.benchmarks.naive.models import Usage


class GatewayTokens(BaseAuthentication):
    def authenticate(self, request: Any) -> tuple[Actor, None]:
        try:
            gateway = Gateway.objects.get(token_digest=digest(request.headers["X-Stoa-Gateway-Token"]), deleted_at=None)
        except Gateway.DoesNotExist:
            raise AuthenticationFailed from None
        return Actor(gateway.id), None


class KeySerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    api_id = serializers.CharField(required=False)


class AnswerSerializer(serializers.Serializer[Any]):
    valid = serializers.BooleanField()
    code = serializers.CharField()
    key_id = serializers.CharField()
    subscription_id = serializers.CharField()
    api_id = serializers.CharField()
    application = serializers.CharField()
    plan = serializers.CharField()
    remaining = serializers.IntegerField()


class VerifyView(APIView):
    authentication_classes = [GatewayTokens]
    permission_classes = [IsAuthenticated]

    def post(self, request: Any) -> Response:
        asked = KeySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        secret = find(asked.validated_data["key"])
        code, remaining = decide(secret)
        key, subscription = secret.key, secret.key.subscription
        answer = {
            "valid": code == "valid",
            "code": code,
            "key_id": key.id,
            "subscription_id": subscription.id,
            "api_id": subscription.api.id,
            "application": subscription.application,
            "plan": subscription.plan.slug,
            "remaining": remaining,
        }
        return Response(AnswerSerializer(answer).data)


class AuthorizeView(APIView):
    authentication_classes = [GatewayTokens]
    permission_classes = [IsAuthenticated]

    def get(self, request: Any) -> HttpResponse:
        _root, tenant, path = request.headers["X-Forwarded-Uri"].split("?")[0].split("/", 2)
        apis = Api.objects.filter(tenant__name=tenant, tenant__deleted_at=None, deleted_at=None)
        api = max((api for api in apis if f"/{path}".startswith(api.path)), key=lambda api: len(api.path), default=None)
        if api is None:
            raise NotFound
        secret = find(request.headers["X-API-Key"])
        code, remaining = decide(secret)
        if code != "valid" or secret.key.subscription.api_id != api.id:
            return HttpResponse(status=403)
        headers = {
            "X-Stoa-Tenant": api.tenant_id,
            "X-Stoa-Api": api.id,
            "X-Stoa-Subscription": secret.key.subscription_id,
            "X-Stoa-Application": secret.key.subscription.application,
            "X-Stoa-Key": secret.key_id,
            "X-RateLimit-Remaining": str(remaining),
        }
        return HttpResponse(headers=headers)


def find(key: str) -> KeySecret:
    try:
        return KeySecret.objects.select_related("key__tenant", "key__subscription__api", "key__subscription__plan").get(
            digest=digest(key)
        )
    except KeySecret.DoesNotExist:
        raise NotFound from None


def decide(secret: KeySecret) -> tuple[str, int]:
    key, subscription, now = secret.key, secret.key.subscription, timezone.now()
    if key.revoked_at or (secret.valid_until and secret.valid_until <= now):
        return "key_revoked", 0
    if key.tenant.status != "active" or subscription.status != "active" or subscription.api.status == "inactive":
        return "refused", 0
    with transaction.atomic():
        hour = usage_of(subscription, f"{now:%Y-%m-%dT%H}")
        month = usage_of(subscription, f"{now:%Y-%m}")
        if hour.calls >= (subscription.rate_limit or 0) or month.calls >= (subscription.quota or 0):
            return "rate_limited", 0
        hour.calls += 1
        hour.save()
        month.calls += 1
        month.save()
    secret.last_used_at = now
    secret.save()
    return "valid", (subscription.rate_limit or 0) - hour.calls


def usage_of(subscription: Subscription, window: str) -> Usage:
    usage, _is_new = Usage.objects.select_for_update().get_or_create(subscription=subscription, window=window)
    return usage
