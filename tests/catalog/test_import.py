"""Register an API from its OpenAPI document."""

from time import perf_counter
from typing import Any

import pytest

from catalog.models import Api
from tenants.models import Tenant
from tests.answers import MISSING_ROLE, NOT_FOUND, duplicate, invalid, refusal_of
from tests.conftest import Caller
from tests.log import last_event, types

pytestmark = pytest.mark.django_db

URL = "/v1/tenants/acme/apis/import"
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Payment API", "version": "2.3", "summary": "Takes money", "description": "At length"},
    "servers": [{"url": "https://api.payments.example.com/v2"}, {"url": "https://other.example.com"}],
    "paths": {"/refunds": {"get": {"responses": {"200": {"description": "Refunds"}}}}},
}
YAML = """\
openapi: 3.0.3
info:
  title: Payment API
  version: 1.10
  description: |
    Takes money.
servers:
  - url: https://{region}.payments.example.com/{base}
    variables:
      region: {default: eu, enum: [eu, us]}
      base: {default: v2}
paths: {}
"""


def post_yaml(caller: Caller, text: str | bytes, media_type: str = "application/yaml", query: str = "") -> Any:
    body = text if isinstance(text, bytes) else text.encode()
    return caller.post(f"{URL}{query}", body, content_type=media_type)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in DOCUMENT.items() if key != name}


def with_info(**members: Any) -> dict[str, Any]:
    return DOCUMENT | {"info": DOCUMENT["info"] | members}


def test_a_document_becomes_an_api(dave: Caller, acme: Tenant) -> None:
    response = dave.post(URL, DOCUMENT)
    api = response.json()

    assert response.status_code == 201
    assert response["Location"] == f"/v1/tenants/acme/apis/{api['id']}"
    assert {name: api[name] for name in ("name", "version", "description", "upstream_url", "path")} == {
        "name": "Payment API",
        "version": "2.3",
        "description": "Takes money",
        "upstream_url": "https://api.payments.example.com/v2",
        "path": "/payment-api",
    }
    assert dave.get(response["Location"]).json() == api
    assert last_event().type == "api.created"


@pytest.mark.parametrize("media_type", ["application/yaml", "application/x-yaml", "text/yaml; charset=utf-8"])
def test_yaml_is_read_as_it_was_written(dave: Caller, acme: Tenant, media_type: str) -> None:
    api = post_yaml(dave, YAML, media_type).json()

    assert api["version"] == "1.10"  # a number would have become 1.1
    assert api["description"] == "Takes money."
    assert api["upstream_url"] == "https://eu.payments.example.com/v2"


def test_the_query_string_says_it_better(dave: Caller, acme: Tenant) -> None:
    query = "?path=/pay/&upstream_url=http://10.0.0.7:8080"
    api = dave.post(f"{URL}{query}", DOCUMENT | {"servers": [{"url": "/relative"}]}).json()

    assert (api["path"], api["upstream_url"]) == ("/pay", "http://10.0.0.7:8080")


def test_a_long_description_is_cut(dave: Caller, acme: Tenant) -> None:
    info = {"title": "A", "version": "1", "description": "d" * 5_000}

    assert len(dave.post(URL, DOCUMENT | {"info": info}).json()["description"]) == 2_000


@pytest.mark.parametrize(
    ("document", "refused"),
    [
        ([], invalid("")),
        (without("openapi") | {"swagger": "2.0"}, invalid("openapi")),
        (DOCUMENT | {"openapi": "2.0.0"}, invalid("openapi")),
        (DOCUMENT | {"openapi": "4.0.0"}, invalid("openapi")),
        (DOCUMENT | {"openapi": 3.1}, invalid("openapi")),
        (DOCUMENT | {"openapi": "3.1.0\n"}, invalid("openapi")),
        (without("info"), invalid("info", "required")),
        (DOCUMENT | {"info": "Payments"}, invalid("info", "required")),
        (with_info(title=None), invalid("info.title", "required")),
        (with_info(title=7), invalid("info.title")),
        (with_info(title="t" * 101), invalid("info.title", "max_length")),
        (with_info(title="Зарплата"), invalid("path", "required")),
        (with_info(version=1.5), invalid("info.version")),
        (with_info(version="v" * 33), invalid("info.version", "max_length")),
        (with_info(summary={"text": "Takes money"}), invalid("info.summary")),
        (without("servers"), invalid("servers.0.url", "required")),
        (DOCUMENT | {"servers": []}, invalid("servers.0.url", "required")),
        (DOCUMENT | {"servers": {"url": "https://a.example"}}, invalid("servers.0.url", "required")),
        (DOCUMENT | {"servers": [{"url": "/v2"}]}, invalid("servers.0.url")),
        (DOCUMENT | {"servers": [{"url": "https://{region}.example.com"}]}, invalid("servers.0.url")),
        (DOCUMENT | {"servers": [{"url": "https://a{x}", "variables": {"x": 1}}]}, invalid("servers.0.url")),
        (DOCUMENT | {"servers": [{"url": "http://127.0.0.1:8000"}]}, invalid("servers.0.url")),
    ],
)
def test_a_document_that_registers_nothing_is_refused(
    dave: Caller, acme: Tenant, document: Any, refused: tuple[int, str, str, str]
) -> None:
    assert refusal_of(dave.post(URL, document)) == refused
    assert types() == []


def test_an_override_is_refused_by_its_own_name(dave: Caller, acme: Tenant) -> None:
    assert refusal_of(dave.post(f"{URL}?path=/a/../b", DOCUMENT)) == invalid("path")
    assert refusal_of(dave.post(f"{URL}?path=%00", DOCUMENT)) == invalid("path", "null_characters_not_allowed")
    assert refusal_of(dave.post(f"{URL}?upstream_url=ftp://a", DOCUMENT)) == invalid("upstream_url")


BILLION_LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BILLION_LAUGHS,
        "openapi: *nowhere",
        "openapi: &a 3.1.0",
        "<<: *defaults",
        "openapi: !!python/object/apply:os.system ['true']",
        "openapi: !!str 3.1.0",
        "[" * 1_000,
        "[" * 100_000,
        "? " * 1_000 + "a",
        "- " * 1_000 + "a",
        "? [a, b]\n: c",
        "? {a: b}\n: c",
        "openapi: 3.1.0\nopenapi: 3.1.0",
        "openapi: 3.1.0\n---\nopenapi: 3.1.0",
        "openapi: 3.1.0\n  info: {",
        'openapi: "3.1.0\\0"',
        'openapi: "\\ud800"',
        b"openapi: \xff",
        b"openapi: \x00",
        "%YAML 9.9\n---\na",
        "",
        "# nothing",
        "\t",
        "just text",
        "- a list",
    ],
    ids=lambda text: str(text[:20]),
)
def test_hostile_yaml_is_a_400(dave: Caller, acme: Tenant, text: str | bytes) -> None:
    status, code, _field, _detail = refusal_of(post_yaml(dave, text))

    assert (status, code) == (400, "validation_error")
    assert not Api.objects.exists()


def test_a_huge_document_is_refused_before_it_is_read(dave: Caller, acme: Tenant) -> None:
    assert refusal_of(post_yaml(dave, "a: " + "b" * 300_000))[0] == 413


@pytest.mark.deadline
def test_the_largest_document_that_is_read_is_read_in_seconds(dave: Caller, acme: Tenant) -> None:
    text = YAML + "x-numbers: [" + "1, " * 80_000 + "1]"
    started = perf_counter()

    assert post_yaml(dave, text).status_code == 201
    assert perf_counter() - started < 20  # measured: 0.2 s


def test_another_media_type_is_refused(dave: Caller, acme: Tenant) -> None:
    assert refusal_of(post_yaml(dave, YAML, "text/plain"))[0] == 415


def test_it_goes_through_the_same_rules_as_a_registration(dave: Caller, acme: Tenant) -> None:
    dave.post(URL, DOCUMENT)

    assert refusal_of(dave.post(URL, DOCUMENT)) == duplicate("name")
    assert refusal_of(dave.post(URL, with_info(version="9"))) == duplicate("path")


def test_a_dry_run_tells_and_does_nothing(dave: Caller, acme: Tenant) -> None:
    response = dave.post(f"{URL}?dry_run=true", DOCUMENT)

    assert response.status_code == 201
    assert not Api.objects.exists()
    assert types() == []


def test_a_retry_with_the_same_key_registers_once(dave: Caller, acme: Tenant) -> None:
    first = dave.send("POST", URL, YAML.encode(), {"content_type": "application/yaml", "Idempotency-Key": "k"})
    second = dave.send("POST", URL, YAML.encode(), {"content_type": "application/yaml", "Idempotency-Key": "k"})

    assert second["Idempotency-Replayed"] == "true"
    assert (second.content, second["Location"]) == (first.content, first["Location"])
    assert Api.objects.count() == 1


def test_a_reader_and_a_stranger_may_not(victor: Caller, bob: Caller, acme: Tenant) -> None:
    assert refusal_of(victor.post(URL, DOCUMENT)) == MISSING_ROLE
    assert refusal_of(bob.post(URL, DOCUMENT)) == NOT_FOUND
