"""Serves the OpenAPI document, Swagger UI and ReDoc (all assets from this host), and the landing page."""

from functools import cache
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

OPENAPI_PATH = Path(__file__).parent / "openapi.json"


@cache  # 400 KB, read once per process
def _openapi() -> bytes:
    return OPENAPI_PATH.read_bytes()


def openapi(request: HttpRequest) -> HttpResponse:
    """Serve the committed snapshot: clients get the document that was reviewed."""
    return HttpResponse(_openapi(), content_type="application/json")


def swagger(request: HttpRequest) -> HttpResponse:
    """Serve Swagger UI, in which people can send requests."""
    return render(request, "swagger.html")


def redoc(request: HttpRequest) -> HttpResponse:
    """Serve ReDoc, for reading."""
    return render(request, "redoc.html")


def landing(request: HttpRequest) -> HttpResponse:
    """Serve the page at ``/``: links to the documentation, the console and the probes."""
    return render(request, "landing.html")
