"""The command ``create_tenant``."""

import getpass

import pytest

from tenants.models import Tenant
from tests import log
from tests.commands import refusal_of_command, run
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db


def test_a_tenant_is_created_and_set_up() -> None:
    options = ["--email", "admin@acme.com", "--tier", "business", "--region", "eu-west-1"]

    (line,) = run("create_tenant", "acme", *options)

    tenant = Tenant.objects.get()
    assert line == f"Tenant acme ({tenant.id}) is active at https://gateway.example.com/acme"
    assert (tenant.tier, tenant.region, tenant.admin_email) == ("business", "eu-west-1", "admin@acme.com")
    assert tenant.status == "active"
    assert tenant.plans.count() == 3


def test_the_log_names_the_operator() -> None:
    run("create_tenant", "acme", "--email", "admin@acme.com", "--as", "olga")
    run("create_tenant", "globex", "--email", "admin@globex.com")

    actors = [event.actor for event in log.events() if event.type == "tenant.created"]
    assert actors == ["stoa:operator:olga", f"stoa:operator:{getpass.getuser()}"]


def test_what_rest_refuses_is_refused_with_the_same_sentences() -> None:
    TenantFactory(name="acme")

    def refused(name: str, *options: str) -> str:
        return refusal_of_command("create_tenant", name, "--email", "admin@acme.com", *options)

    assert refused("acme") == "name: A tenant of this name exists already."
    assert refused("admin") == "name: This name is reserved."
    assert refused("initech", "--tier", "gold") == "tier: Invalid tier value"
    assert refused("initech", "--region", "moon-1").startswith("region: Unknown region")
    assert refused("initech", "--as", "o l g a").startswith("Error: argument --as: a user name has")
    assert refusal_of_command("create_tenant", "initech").startswith("Error: the following arguments are required")
    assert Tenant.objects.count() == 1
