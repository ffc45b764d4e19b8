"""Dry runs of writes that issue secrets: the answer shows placeholders that nothing takes for a secret."""

import re
from typing import Any

import pytest

from subscriptions.models import Plan
from tests.conftest import Caller
from tests.contract.operations import OPERATIONS, ORIGINAL, PREPARED, TABLE, filled
from tests.contract.world import build_world
from tests.log import whole_log

pytestmark = pytest.mark.django_db

SECRET = re.compile(r"stoa_[a-z]+_[0-9A-Za-z]{46}|whsec_[0-9A-Za-z+/=]{44}")
CALLBACK = {"callback_url": "https://1.1.1.1/callback"}
# A verification writes nothing, and takes no dry run.
WRITES = [(method, path) for method, path in OPERATIONS if method in ("post", "patch") and "keys/verify" not in path]
KEY, SUBSCRIPTION = "/v1/tenants/{tenant_id}/apikeys", "/v1/tenants/{tenant_id}/subscriptions"
GATEWAY, WEBHOOK = "/v1/gateways", "/v1/tenants/{tenant_id}/webhooks"
# What each write issues, by the member of the answer.
ISSUED: dict[tuple[str, str], dict[str, str]] = {
    ("post", KEY): {"key": "stoa_live_"},
    ("post", f"{KEY}/{{key_id}}/rotate"): {"key": "stoa_live_"},
    ("post", SUBSCRIPTION): {"api_key": "stoa_live_", "callback_secret": "whsec_"},
    ("patch", f"{SUBSCRIPTION}/{{subscription_id}}"): {"callback_secret": "whsec_"},
    ("post", f"{SUBSCRIPTION}/{{subscription_id}}/approve"): {"api_key": "stoa_live_"},
    ("post", GATEWAY): {"token": "stoa_gtw_"},
    ("post", f"{GATEWAY}/{{gateway_id}}/rotate-token"): {"token": "stoa_gtw_"},
    ("post", WEBHOOK): {"secret": "whsec_"},
    ("post", f"{WEBHOOK}/{{webhook_id}}/rotate-secret"): {"secret": "whsec_"},
}


@pytest.mark.parametrize("operation", WRITES, ids=" ".join)
def test_a_dry_run_shows_placeholders(operation: tuple[str, str], olga: Caller) -> None:
    world = build_world()
    Plan.objects.update(approval="automatic")
    issued = ISSUED.get(operation, {})
    method, path = operation
    world |= {"subscription_id": world[PREPARED[path]]} if path in PREPARED else {}
    body: Any = filled(TABLE[operation][1], world)
    if "callback_secret" in issued:
        body = body | CALLBACK

    def answer(query: str) -> Any:
        return olga.send(method.upper(), path.format(**world) + query, body, ORIGINAL)

    previewed, done = answer("?dry_run=true"), answer("")

    assert len(SECRET.findall(done.content.decode())) == len(issued)
    assert SECRET.search(previewed.content.decode()) is None
    assert previewed.status_code == done.status_code
    shown = {name: value for name, value in previewed.json().items() if "not_issued" in str(value)}
    assert shown == {name: f"{kind}not_issued" for name, kind in issued.items()}
    assert SECRET.search(whole_log()) is None
