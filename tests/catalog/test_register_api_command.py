"""The command ``register_api``."""

import pytest

from catalog.models import Api
from tenants.models import Tenant
from tests import log
from tests.commands import refusal_of_command, run

pytestmark = pytest.mark.django_db

WHERE = ["--path", "/payments", "--upstream", "https://api.payments.example.com"]


@pytest.mark.parametrize("call_it", ["id", "name"])
def test_an_api_is_registered(acme: Tenant, call_it: str) -> None:
    (line,) = run("register_api", getattr(acme, call_it), "payment-api", *WHERE, "--as", "olga")

    api = Api.objects.get()
    assert line == f"API payment-api ({api.id}) is active at https://gateway.example.com/acme/payments"
    assert (api.api_version, api.auth_required, api.requests_per_hour) == ("v1", True, None)
    assert log.last_event().actor == "stoa:operator:olga"


def test_every_field_has_an_option(acme: Tenant) -> None:
    options = [
        *("--sandbox", "https://sandbox.payments.example.com"),
        *("--rate-limit", "1000"),
        *("--api-version", "v2"),
        *("--description", "Takes money."),
        *("--openapi-url", "https://docs.example.com/openapi.json"),
        "--no-auth",
    ]

    run("register_api", "acme", "payment-api", *WHERE, *options)

    api = Api.objects.get()
    assert (api.requests_per_hour, api.api_version, api.description) == (1000, "v2", "Takes money.")
    assert api.sandbox_url == "https://sandbox.payments.example.com"
    assert (api.openapi_url, api.auth_required) == ("https://docs.example.com/openapi.json", False)


def test_what_rest_refuses_is_refused_with_the_same_sentences(acme: Tenant) -> None:
    run("register_api", "acme", "payment-api", *WHERE)

    def refused(*options: str) -> str:
        return refusal_of_command("register_api", "acme", "other", *WHERE, *options)

    assert refused() == "path: An API at this path exists already."
    assert refused("--path", "payments").startswith("path: A path begins with /")
    assert (
        refused("--upstream", "http://localhost:8000") == "upstream_url: The control plane cannot be its own upstream."
    )
    assert refused("--rate-limit", "0").startswith("rate_limit.requests_per_hour: ")
    assert "invalid limit value" in refused("--rate-limit", "many")
    assert refusal_of_command("register_api", "initech", "x", *WHERE) == "There is no tenant initech."
    assert Api.objects.count() == 1
