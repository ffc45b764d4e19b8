"""Names of APIs: text for people, that no program expands or reads as a second line."""

import pytest

from tenants.models import Tenant
from tests.answers import invalid, refusal_of
from tests.conftest import Caller
from tests.factories import ApiFactory

pytestmark = pytest.mark.django_db

APIS = "/v1/tenants/acme/apis"
NEW = {"name": "orders", "path": "/orders", "upstream_url": "https://1.1.1.1"}
HARMFUL = [
    "${{NOPE}}", "${HOME}", "$host", "{env.HOME}", "{{ env `HOME` }}", "{$TOKEN}", "a\nb", "a\rb", "a\u2028b", "a\x85b",
    "a\x1b[2J", "a\x7f", "a\tb",
]  # fmt: skip
HARMLESS = [
    "payment-api", "Payment API (v2)", "Acme's Prices: 100 % & more", "Зарплата", "支払い", "café #1", 'the "API"',
    "a/b;c", "<b>", "!important", "- item", "null", "~", "#END", "\U0001f468\u200d\U0001f373",
]  # fmt: skip


@pytest.mark.parametrize("name", HARMFUL, ids=ascii)
def test_what_a_configuration_would_expand_is_refused(dave: Caller, acme: Tenant, name: str) -> None:
    assert refusal_of(dave.post(APIS, NEW | {"name": name})) == invalid("name")
    assert refusal_of(dave.post(APIS, NEW | {"version": name})) == invalid("version")
    document = {"openapi": "3.1.0", "info": {"title": name, "version": "1"}, "servers": [{"url": "https://1.1.1.1"}]}
    assert refusal_of(dave.post(f"{APIS}/import?path=/a", document)) == invalid("info.title")


@pytest.mark.parametrize("name", HARMLESS, ids=ascii)
def test_people_may_write_as_they_like(dave: Caller, acme: Tenant, name: str) -> None:
    assert dave.post(APIS, NEW | {"name": name}).json()["name"] == name


def test_a_name_from_before_this_rule_stays(dave: Caller, acme: Tenant) -> None:
    api = ApiFactory(tenant=acme, name="${{OLD}}", path="/old", api_version="{1}")
    whole = dave.get(f"{APIS}/{api.id}").json()

    assert dave.patch(f"{APIS}/{api.id}", whole | {"description": "x"}).status_code == 200
    assert refusal_of(dave.patch(f"{APIS}/{api.id}", {"name": "${{NEW}}"})) == invalid("name")
