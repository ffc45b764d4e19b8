"""The OpenAPI document and its two readers, served without any foreign host, and the page that says where all is."""

from functools import cache
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

OPENAPI_PATH = Path(__file__).parent / "openapi.json"


@cache
def _openapi() -> bytes:
    return OPENAPI_PATH.read_bytes()


def openapi(request: HttpRequest) -> HttpResponse:
    """Serve the committed snapshot: what was reviewed is what clients get."""
    return HttpResponse(_openapi(), content_type="application/json")


def swagger(request: HttpRequest) -> HttpResponse:
    """Swagger UI, to try calls out."""
    return render(request, "swagger.html")


def redoc(request: HttpRequest) -> HttpResponse:
    """ReDoc, to read."""
    return render(request, "redoc.html")


def landing(request: HttpRequest) -> HttpResponse:
    """Say where everything is."""
    return render(request, "landing.html")
