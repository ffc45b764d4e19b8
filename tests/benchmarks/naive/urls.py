"""The same paths as ours."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.benchmarks.naive.catalog import ApiViewSet
from tests.benchmarks.naive.traffic import TrafficView
from tests.benchmarks.naive.views import AuthorizeView, VerifyView


def healthz(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("healthz", healthz),
    path("v1/gateway/authorize", AuthorizeView.as_view()),
    path("v1/gateway/keys/verify", VerifyView.as_view()),
    path("v1/gateway/traffic", TrafficView.as_view()),
    path("v1/tenants/<str:tenant>/apis", ApiViewSet.as_view({"get": "list", "post": "create"})),
    path("v1/tenants/<str:tenant>/apis/<str:pk>", ApiViewSet.as_view({"get": "retrieve", "patch": "partial_update"})),
]
