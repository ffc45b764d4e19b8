"""The import of a document takes time by its size, whatever is in it."""

from time import process_time
from typing import Any

import pytest

from tenants.models import Tenant
from tests.answers import invalid, refusal_of
from tests.conftest import Caller

pytestmark = pytest.mark.django_db

URL = "/v1/tenants/acme/apis/import"
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Payments", "version": "1"},
    "servers": [{"url": "https://api.example.com"}],
}


def with_server(url: str, variables: dict[str, Any]) -> dict[str, Any]:
    return DOCUMENT | {"servers": [{"url": url, "variables": variables}]}


# Each variable stands twice in the default of the one before: 2²⁶ times the last, in 1 KB.
DOUBLING = with_server(
    "https://api.example.com/{v0}",
    {f"v{level}": {"default": f"{{v{level + 1}}}" * 2} for level in range(26)} | {"v26": {"default": "a"}},
)
COSTLY = {
    "variables in defaults": (DOUBLING, invalid("servers.0.url")),
    "a variable often, and long": (
        with_server("https://api.example.com/" + "{a}" * 670, {"a": {"default": "a" * 200_000}}),
        invalid("servers.0.url", "max_length"),
    ),
    "a long URL of variables": (
        with_server("https://api.example.com/" + "{a}" * 40_000, {"a": {"default": "a" * 100_000}}),
        invalid("servers.0.url", "max_length"),
    ),
    "a variable of itself": (
        with_server("https://{a}", {"a": {"default": "{a}{a}"}}),
        invalid("servers.0.url"),
    ),
    "open braces": (with_server("https://" + "{" * 2_000, {"a": {"default": "a"}}), invalid("servers.0.url")),
    "many variables": (
        with_server("https://" + "{a}" * 600, {f"a{number}": {"default": "a"} for number in range(8_000)}),
        invalid("servers.0.url"),
    ),
    "combining marks": (
        DOCUMENT | {"info": {"title": "a" + "\u0315\u0300" * 21_000, "version": "1"}},
        invalid("info.title", "max_length"),
    ),
    "a mark that expands 18 times": (
        DOCUMENT | {"info": {"title": "\ufdfa" * 40_000, "version": "1"}},
        invalid("info.title", "max_length"),
    ),
}


@pytest.mark.deadline
@pytest.mark.parametrize("name", COSTLY)
def test_no_document_costs_more_than_its_size(dave: Caller, acme: Tenant, name: str) -> None:
    document, refused = COSTLY[name]
    dave.post(URL, {})  # what a process does once
    started = process_time()

    response = dave.post(URL, document)

    assert process_time() - started < 0.5  # 33 s, and 16 s for the marks, before they were bounded
    status, code, field, detail = refusal_of(response)
    assert (status, code, field, detail) == refused
    assert len(response.content) < 10_000


@pytest.mark.deadline
@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\x85", "\u2028"], ids=ascii)
def test_tag_directives_are_refused_before_they_are_compared(dave: Caller, acme: Tenant, line_break: str) -> None:
    text = line_break.join(f"%TAG !{number:x}! a" for number in range(13_000)) + f"{line_break}---{line_break}a: b"
    started = process_time()

    response = dave.post(URL, text.encode(), content_type="application/yaml")

    assert process_time() - started < 0.2  # 0.4 s before, by the square of the size
    assert refusal_of(response) == invalid("")


@pytest.mark.deadline
def test_a_host_in_another_alphabet_is_bounded_before_it_is_encoded(dave: Caller, acme: Tenant) -> None:
    started = process_time()

    response = dave.post("/v1/tenants/acme/webhooks", {"url": f"https://{chr(0xFDFA) * 2_000}", "events": ["*"]})

    assert process_time() - started < 0.2  # 0.5 s before
    assert refusal_of(response) == invalid("url")


def test_a_default_may_hold_what_looks_like_a_variable(dave: Caller, acme: Tenant) -> None:
    document = with_server(
        "https://{host}.example.com/{base}/{unknown}", {"host": {"default": "{base}"}, "base": {"default": "v1"}}
    )
    assert refusal_of(dave.post(URL, document)) == invalid("servers.0.url")


def test_each_variable_is_replaced_by_its_default(dave: Caller, acme: Tenant) -> None:
    document = with_server(
        "https://{region}.example.com:{port}/{base}/{base}",
        {
            "region": {"default": "eu"},
            "port": {"default": "8443"},
            "base": {"default": "v1"},
            "unused": {"default": "x"},
        },
    )
    assert dave.post(URL, document).json()["upstream_url"] == "https://eu.example.com:8443/v1/v1"


def test_references_are_not_followed(dave: Caller, acme: Tenant) -> None:
    document = DOCUMENT | {
        "info": {"title": "Payments", "version": "1", "summary": {"$ref": "#/info"}},
        "components": {"schemas": {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}},
        "paths": {"/": {"$ref": "http://127.0.0.1:1/paths.json"}},
    }
    assert refusal_of(dave.post(URL, document)) == invalid("info.summary")
    document["info"].pop("summary")
    assert dave.post(URL, document).status_code == 201
