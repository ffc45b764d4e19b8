"""Real deliveries, verified by the official Node library: what our receivers' developers will use."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tests.programs import require_program
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import SECRET, an_event
from tests.webhooks.receivers import Receiver
from webhooks.models import Webhook
from webhooks.services import Rotation, rotate_secret

pytestmark = pytest.mark.django_db

PACKAGE = "standardwebhooks@1.1.1"
INSTALL_SECONDS = 60
VERIFY = """
const { Webhook } = require("standardwebhooks");
const deliveries = JSON.parse(require("fs").readFileSync(0, "utf8"));
const verify = ({ secret, headers, body }) => new Webhook(secret).verify(body, headers);
console.log(JSON.stringify(deliveries.map(verify)));
"""


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the library in it; skips, or fails under ``STOA_TEST_REQUIRE=node``, where there is none."""
    require_program("node")
    npm = require_program("npm")
    folder = tmp_path_factory.mktemp("node")
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    try:
        installed = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        reason = "" if installed.returncode == 0 else installed.stderr
    except subprocess.TimeoutExpired:
        reason = f"npm took more than {INSTALL_SECONDS} s"
    if reason:
        missing_library(reason)
    return folder


def missing_library(reason: str) -> None:
    sentence = f"npm cannot install {PACKAGE}: {reason.strip()[-200:]}"
    if "node" in os.environ.get("STOA_TEST_REQUIRE", "").split(","):
        pytest.fail(sentence)
    pytest.skip(sentence)


def verify(folder: Path, deliveries: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the payloads, in order. Raises CalledProcessError if the library refuses one."""
    node = require_program("node")
    script = folder / "verify.cjs"
    script.write_text(VERIFY)
    answer = subprocess.run(
        [node, str(script)], input=json.dumps(deliveries), capture_output=True, text=True, check=True
    )
    payloads: list[dict[str, object]] = json.loads(answer.stdout)
    return payloads


def test_it_verifies_what_we_send(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain, node_folder: Path
) -> None:
    an_event(acme, "api.created", description="café ✓ \u2028 😀", quote='"\\/')
    new = rotate_secret(webhook, Rotation(overlap_seconds=60), by=SYSTEM).secret
    drain()
    (request,) = receiver.received
    deliveries = [
        {"secret": secret, "headers": dict(request.headers), "body": request.body.decode()} for secret in (new, SECRET)
    ]
    assert verify(node_folder, deliveries) == [json.loads(request.body)] * 2


def test_it_refuses_a_changed_body(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain, node_folder: Path
) -> None:
    an_event(acme)
    drain()
    request = receiver.received[0]
    forged = {"secret": SECRET, "headers": dict(request.headers), "body": request.body.decode() + " "}
    with pytest.raises(subprocess.CalledProcessError, match="non-zero"):
        verify(node_folder, [forged])
