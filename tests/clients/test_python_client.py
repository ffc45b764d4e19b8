"""A Python client generated from the document goes through the main flow against a live server."""

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from types import ModuleType
from typing import Any

import pytest

from stoa_cp.openapi.views import OPENAPI_PATH

PACKAGE = "stoa_client"
Call = Callable[..., Any]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The generated package, importable by the name that is returned."""
    folder = tmp_path_factory.mktemp("python-client")
    config = folder / "config.yaml"
    config.write_text("post_hooks: []\n")  # generated code is to run, not to please a formatter
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    command += ["--path", str(OPENAPI_PATH), "--output-path", str(folder / PACKAGE), "--config", str(config)]
    generated = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert generated.returncode == 0, generated.stdout + generated.stderr
    warnings = [line for line in generated.stderr.splitlines() if "Unsupported" in line]
    # It knows one media type per body; JSON is there for both.
    assert warnings == [
        "Unsupported content type application/x-ndjson",
        "Unsupported content type application/yaml",
    ], generated.stderr
    sys.path.insert(0, str(folder))
    yield PACKAGE
    sys.path.remove(str(folder))


def module(package: str, name: str) -> ModuleType:
    return importlib.import_module(f"{package}.{name}")


@pytest.fixture
def models(package: str) -> ModuleType:
    return module(package, "models")


@pytest.fixture
def call(package: str, live_server: Any, token: str) -> Iterator[Call]:
    """Return how to call an operation by its tag and name: the parsed answer, after a look at the status."""
    client_class = module(package, "client").AuthenticatedClient
    with client_class(base_url=live_server.url, token=token) as client:

        def send(operation: str, *path: str, expect: HTTPStatus = HTTPStatus.CREATED, **arguments: Any) -> Any:
            response = module(package, f"api.{operation}").sync_detailed(*path, client=client, **arguments)
            assert response.status_code == expect, response.content
            return response.parsed

        yield send


@pytest.fixture
def tenant(call: Call, models: ModuleType) -> Any:
    body = models.NewTenantRequest(
        name="umbrella", tier=models.TenantTier.STARTER, admin_email="admin@umbrella.example", region="us-east-1"
    )
    return call("tenants.tenants_create", body=body)


def test_the_main_flow(call: Call, models: ModuleType, tenant: Any) -> None:
    plan = models.NewPlanRequest(slug="gold", name="Gold", rate_limit=1_000, quota=None)
    call("plans.tenants_plans_create", tenant.id, body=plan)
    api = models.NewApiRequest(name="payments", upstream_url="https://payments.example.com", path="/payments")
    api = call("ap_is.tenants_apis_create", tenant.id, body=api)
    hook = models.NewWebhookRequest(url="https://1.1.1.1/hook", events=[models.EventsEnum("subscription.*")])
    assert call("webhooks.tenants_webhooks_create", tenant.id, body=hook).secret.startswith("whsec_")

    body = models.NewSubscriptionRequest(api_id=api.id, plan="gold", application="mobile-app")
    asked = call("subscriptions.tenants_subscriptions_create", tenant.id, body=body)
    assert asked.status is models.SubscriptionStatus.PENDING_APPROVAL
    approve, terms = "subscriptions.tenants_subscriptions_approve", models.TermsRequest(quota=50_000)
    approved = call(approve, tenant.id, asked.id, body=terms, expect=HTTPStatus.OK)
    assert (approved.status, approved.quota) == (models.SubscriptionStatus.ACTIVE, 50_000)
    assert len(approved.api_key) > len("stoa_live_")

    keys = call("api_keys.tenants_apikeys_list", tenant.id, expect=HTTPStatus.OK)
    assert [key.subscription_id for key in keys.items] == [asked.id]
    log = call("events.tenants_events_list", tenant.id, type_="subscription.*", expect=HTTPStatus.OK)
    assert [event.type_ for event in log.items] == ["subscription.created", "subscription.approved"]


def test_a_refusal_is_parsed_too(call: Call, models: ModuleType, tenant: Any) -> None:
    body = models.NewApiRequest(name="payments", upstream_url="ftp://payments.example.com", path="/payments")
    refusal = call("ap_is.tenants_apis_create", tenant.id, body=body, expect=HTTPStatus.BAD_REQUEST)

    assert refusal.error.code == "validation_error"
    assert [detail.field for detail in refusal.error.details] == ["upstream_url"]


def test_a_retry_and_a_dry_run_are_arguments(call: Call, models: ModuleType, tenant: Any) -> None:
    plan = models.NewPlanRequest(slug="gold", name="Gold")
    create = "plans.tenants_plans_create"
    call(create, tenant.id, body=plan, dry_run=True)
    first = call(create, tenant.id, body=plan, idempotency_key="k-1")
    again = call(create, tenant.id, body=plan, idempotency_key="k-1")

    assert again.id == first.id
