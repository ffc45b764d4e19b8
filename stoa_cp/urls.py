"""All URLs of the service, on one page.

Not one ``urls.py`` per app: a reader finds the view of any path here, and sees at once whether two paths collide.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path, re_path, register_converter
from django.urls.converters import StringConverter

from apikeys.gateway.views import AuthorizeView, ConfigurationViewSet, VerifyView
from apikeys.leaks.views import github_alert
from apikeys.views import ApiKeyViewSet, ExplanationViewSet
from catalog.views import ApiImportViewSet, ApiViewSet, GatewayViewSet
from metrics.views import MetricsViewSet, TrafficViewSet, UsageViewSet
from stoa_cp.db.ids import id_pattern
from stoa_cp.guide import views as guide
from stoa_cp.observability import health
from stoa_cp.openapi import views as documents
from stoa_cp.operators.passwords import change_own_password
from stoa_cp.operators.sign_in import login
from stoa_cp.operators.sign_out import BackChannelLogoutView, SignOutView
from stoa_cp.prometheus import prometheus
from stoa_cp.security_txt import PATH as SECURITY_TXT
from stoa_cp.security_txt import security_txt
from subscriptions.views import PlanViewSet, SubscriptionViewSet
from tenants.views import EventViewSet, HeadViewSet, MeViewSet, TenantCollectionViewSet, TenantViewSet
from webhooks.views import DeliveryViewSet, EventTypeViewSet, WebhookViewSet

for prefix in ("api", "sub", "key", "whk", "dlv", "pln", "gtw"):
    # An id of the wrong form matches no route: 404 without a query.
    register_converter(type(f"{prefix}_id", (StringConverter,), {"regex": id_pattern(prefix)}), prefix)


def resource(route: str, viewset: Any, **actions: str) -> URLPattern:
    """Return a route from HTTP methods to a viewset's actions: ``resource("v1/tenants", Tenants, get="list")``.

    Not DRF's routers: they make the paths from names, and a path of the API should be found by searching for it.
    """
    view: Callable[..., HttpResponseBase] = viewset.as_view(actions)
    return path(route, view)


ALL = {"get": "list", "post": "create"}
ONE = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
TENANT = "v1/tenants/<str:tenant_id>"
WEBHOOK = f"{TENANT}/webhooks/<whk:webhook_id>"
AUTHORIZE = "v1/gateway/authorize"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", documents.landing),
    path("openapi.json", documents.openapi, name="openapi"),
    path("docs", documents.swagger),
    path("redoc", documents.redoc),
    path("guide/", guide.index),
    path("guide/<slug:topic>", guide.page),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", prometheus),
    path("leaks/github", github_alert),
    path(SECURITY_TXT, security_txt),
    # Before the package's and the admin's own, which these replace.
    path("admin/oidc/logout/", SignOutView.as_view()),
    path("admin/logout/", SignOutView.as_view()),
    path("admin/login/", login),
    path("admin/password_change/", change_own_password),
    path("admin/oidc/backchannel-logout", BackChannelLogoutView.as_view()),
    path("admin/oidc/", include("mozilla_django_oidc.urls")),
    path("admin/", admin.site.urls),
    resource("v1/me", MeViewSet, get="retrieve"),
    # Tenants
    resource("v1/tenants", TenantCollectionViewSet, **ALL),
    resource(TENANT, TenantViewSet, **ONE),
    resource(f"{TENANT}/suspend", TenantViewSet, post="suspend"),
    resource(f"{TENANT}/resume", TenantViewSet, post="resume"),
    resource(f"{TENANT}/events", EventViewSet, get="list"),
    resource(f"{TENANT}/events/verify", EventViewSet, get="verify"),
    resource("v1/events/heads", HeadViewSet, get="heads"),
    resource("v1/events/keys", HeadViewSet, get="keys"),
    # APIs
    resource(f"{TENANT}/apis", ApiViewSet, **ALL),
    resource(f"{TENANT}/apis/import", ApiImportViewSet, post="register"),
    resource(f"{TENANT}/apis/<api:api_id>", ApiViewSet, **ONE),
    # Plans and subscriptions
    resource(f"{TENANT}/plans", PlanViewSet, **ALL),
    resource(f"{TENANT}/plans/<pln:plan_id>", PlanViewSet, **ONE),
    resource(f"{TENANT}/subscriptions", SubscriptionViewSet, **ALL),
    resource(f"{TENANT}/subscriptions/<sub:subscription_id>", SubscriptionViewSet, **ONE),
    resource(f"{TENANT}/subscriptions/<sub:subscription_id>/approve", SubscriptionViewSet, post="approve"),
    resource(f"{TENANT}/subscriptions/<sub:subscription_id>/reject", SubscriptionViewSet, post="reject"),
    resource(f"{TENANT}/subscriptions/<sub:subscription_id>/suspend", SubscriptionViewSet, post="suspend"),
    resource(f"{TENANT}/subscriptions/<sub:subscription_id>/resume", SubscriptionViewSet, post="resume"),
    # API keys
    resource(f"{TENANT}/apikeys", ApiKeyViewSet, **ALL),
    resource(f"{TENANT}/apikeys/revoke", ApiKeyViewSet, post="revoke"),
    resource(f"{TENANT}/apikeys/<key:key_id>", ApiKeyViewSet, **ONE),
    resource(f"{TENANT}/apikeys/<key:key_id>/rotate", ApiKeyViewSet, post="rotate"),
    resource(f"{TENANT}/apikeys/<key:key_id>/rotate/finish", ApiKeyViewSet, post="finish_rotation"),
    # Metrics and usage
    resource(f"{TENANT}/metrics", MetricsViewSet, get="tenant_traffic"),
    resource(f"{TENANT}/apis/<api:api_id>/metrics", MetricsViewSet, get="api_traffic"),
    resource(f"{TENANT}/subscriptions/<sub:subscription_id>/metrics", MetricsViewSet, get="subscription_traffic"),
    resource(f"{TENANT}/subscriptions/<sub:subscription_id>/usage", UsageViewSet, get="retrieve"),
    resource(f"{TENANT}/usage", UsageViewSet, get="list"),
    # Webhooks
    resource("v1/event-types", EventTypeViewSet, get="catalogue"),
    resource(f"{TENANT}/webhooks", WebhookViewSet, **ALL),
    resource(WEBHOOK, WebhookViewSet, **ONE),
    resource(f"{WEBHOOK}/test", WebhookViewSet, post="test"),
    resource(f"{WEBHOOK}/rotate-secret", WebhookViewSet, post="rotate_secret"),
    resource(f"{WEBHOOK}/replay", WebhookViewSet, post="replay"),
    resource(f"{WEBHOOK}/deliveries", DeliveryViewSet, get="list"),
    resource(f"{WEBHOOK}/deliveries/<dlv:delivery_id>", DeliveryViewSet, get="retrieve"),
    resource(f"{WEBHOOK}/deliveries/<dlv:delivery_id>/redeliver", DeliveryViewSet, post="redeliver"),
    resource(f"{TENANT}/explain", ExplanationViewSet, post="explain"),
    # Gateways, for the platform
    resource("v1/gateways", GatewayViewSet, **ALL),
    resource("v1/gateways/<gtw:gateway_id>", GatewayViewSet, **ONE),
    resource("v1/gateways/<gtw:gateway_id>/rotate-token", GatewayViewSet, post="rotate_token"),
    # For gateways
    path(AUTHORIZE, AuthorizeView.as_view()),
    path(f"{AUTHORIZE}/caddy", AuthorizeView.as_view(profile="caddy")),
    path(f"{AUTHORIZE}/nginx", AuthorizeView.as_view(profile="nginx")),
    path(f"{AUTHORIZE}/ingress", AuthorizeView.as_view(profile="ingress")),
    re_path(rf"^{AUTHORIZE}/envoy(?P<path>/.*)$", AuthorizeView.as_view(profile="envoy")),
    path("v1/gateway/keys/verify", VerifyView.as_view()),
    resource("v1/gateway/config", ConfigurationViewSet, get="configuration"),
    resource("v1/gateway/traffic", TrafficViewSet, post="report"),
]

handler400 = "stoa_cp.rest.problems.bad_request"
handler403 = "stoa_cp.rest.problems.permission_denied"
handler404 = "stoa_cp.rest.problems.page_not_found"
handler500 = "stoa_cp.rest.problems.server_error"
