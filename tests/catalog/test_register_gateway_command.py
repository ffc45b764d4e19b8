"""The command ``register_gateway``."""

import pytest

from catalog.authentication import load_gateway
from catalog.models import Gateway
from tenants.models import Tenant
from tests.commands import refusal_of_command, run

pytestmark = pytest.mark.django_db


def test_a_gateway_is_registered_and_its_token_printed() -> None:
    line, token = run("register_gateway", "edge-1")

    gateway = Gateway.objects.get()
    assert line == f"Gateway edge-1 ({gateway.id}) presents this token, which is not shown again:"
    found = load_gateway(token)
    assert found is not None
    actor = found.actor
    assert actor.id == gateway.id


def test_a_name_that_is_wrong_or_taken_is_refused() -> None:
    run("register_gateway", "edge-1")

    assert refusal_of_command("register_gateway", "edge-1") == "name: A gateway of this name exists already."
    assert refusal_of_command("register_gateway", "Edge 2").startswith("name: ")
    assert refusal_of_command("register_gateway", "x" * 64).startswith("name: ")


def test_its_token_may_be_bound(acme: Tenant) -> None:
    options = ["--allowed-ips", "10.0.0.7/8", "--allowed-ips", "2001:DB8::1", "--tenants", "acme"]
    run("register_gateway", "edge-1", *options)

    gateway = Gateway.objects.get()
    assert (gateway.allowed_ips, gateway.tenants) == (["10.0.0.0/8", "2001:db8::1/128"], [acme.id])
    assert refusal_of_command("register_gateway", "edge-2", "--allowed-ips", "here").startswith("allowed_ips.0: ")
    assert refusal_of_command("register_gateway", "edge-2", "--tenants", "elsewhere").startswith("tenants: ")
