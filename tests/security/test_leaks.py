"""Keys that were found in public: GitHub's alerts, their signature, and what follows."""

import base64
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings as configured
from django.http import HttpResponse
from django.test import Client

from apikeys.leaks import github
from apikeys.models import ApiKey, KeySecret
from stoa_cp.crypto.credentials import new_credential
from stoa_cp.guide.pages import read_page
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests import log
from tests.conftest import Caller
from tests.factories import SubscriptionFactory
from tests.project.documents import blocks
from tests.races import at_once

pytestmark = pytest.mark.django_db

ALERTS = "/leaks/github"
# Published by GitHub in the documentation of its partner programme, as the example of a signed alert.
GITHUBS_IDENTIFIER = "f9525bf080f75b3506ca1ead061add62b8633a346606dc5fe544e29231c6ee0d"
GITHUBS_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsz9ugWDj5jK5ELBK42ynytbo38gPHzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3"
    "IDb34kQDIo3Q=="
)
GITHUBS_SIGNATURE = "MEUCIQDfLvT8/zM8F1aB3cM0ZwyeWF1m5YR6IhcUIv1OKQYL0wIgBZ5lVXB3gHK+dT8+xt0WgRVLqvsTPFiDO9QP/7eJ4yE="
GITHUBS_BODY = (
    b'[{"token":"NMIfyYncKcRALEXAMPLE","type":"mycompany_api_token","url":"https://github.com/octocat/Hello-World/blob/'
    b'12345600b9cbe38a219f39a9941c9319b600c002/foo/bar.txt","source":"content"}]'
)
PLACE = {"url": "https://github.com/acme/app/blob/main/config.py", "source": "content"}

Report = Callable[..., HttpResponse]


@pytest.fixture
def key_pair(settings: Any) -> ec.EllipticCurvePrivateKey:
    pair = ec.generate_private_key(ec.SECP256R1())
    encoded = base64.b64encode(pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    settings.STOA_LEAK_KEYS = [f"{GITHUBS_IDENTIFIER}={GITHUBS_KEY}", f"scanner-1={encoded}"]
    return pair


@pytest.fixture
def report(key_pair: ec.EllipticCurvePrivateKey) -> Report:
    def send(*tokens: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> HttpResponse:
        entries = [{"token": token, "type": "stoa_api_key", **PLACE} for token in tokens]
        content = json.dumps(entries).encode() if body is None else body
        signature = base64.b64encode(key_pair.sign(content, ec.ECDSA(SHA256()))).decode()
        signed = {github.IDENTIFIER: "scanner-1", github.SIGNATURE: signature} | dict(headers or {})
        return Client().post(ALERTS, content, content_type="application/json", headers=signed)

    return send


@pytest.fixture
def subscription(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, active=True)


@pytest.fixture
def key(alice: Caller, subscription: Subscription) -> dict[str, Any]:
    issued: dict[str, Any] = alice.post(
        "/v1/tenants/acme/apikeys", {"subscription_id": subscription.id, "name": "Production"}
    ).json()
    return issued


def read(alice: Caller, key: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = alice.get(f"/v1/tenants/acme/apikeys/{key['id']}").json()
    return shown


def labels(response: HttpResponse) -> list[str]:
    assert response.status_code == 200
    return [entry["label"] for entry in json.loads(response.content)]


def test_githubs_own_example_is_verified(key_pair: object) -> None:
    headers = {github.IDENTIFIER: GITHUBS_IDENTIFIER, github.SIGNATURE: GITHUBS_SIGNATURE}

    response = Client().post(ALERTS, GITHUBS_BODY, content_type="application/json", headers=headers)

    digest = base64.b64encode(hashlib.sha256(b"NMIfyYncKcRALEXAMPLE").digest()).decode()
    assert response.status_code == 200
    assert response.json() == [
        {"token_hash": digest, "token_type": "mycompany_api_token", "label": "false_positive"},
    ]


def test_a_found_key_is_flagged_and_announced(alice: Caller, key: dict[str, Any], report: Report) -> None:
    tag = alice.get(f"/v1/tenants/acme/apikeys/{key['id']}")["ETag"]

    response = report(key["key"], new_credential("stoa_live_"), "stoa_live_no_key")

    assert labels(response) == ["true_positive", "false_positive", "false_positive"]
    assert key["key"].encode() not in response.content
    event = log.last_event()
    assert (event.type, event.actor, event.tenant_id) == ("apikey.leaked", "stoa:system", key["tenant_id"])
    assert (event.data["id"], event.data["url"], event.data["source"]) == (key["id"], PLACE["url"], "content")
    assert key["key"] not in json.dumps(event.data)
    shown = read(alice, key)
    assert (shown["status"], shown["leaked_at"] is None) == ("active", False)
    assert alice.get(f"/v1/tenants/acme/apikeys/{key['id']}")["ETag"] != tag


def test_the_policy_may_be_to_revoke(alice: Caller, key: dict[str, Any], report: Report, settings: Any) -> None:
    settings.STOA_LEAK_POLICY = "revoke"

    assert labels(report(key["key"])) == ["true_positive"]

    assert log.types()[-2:] == ["apikey.leaked", "apikey.revoked"]
    assert read(alice, key)["status"] == "revoked"


def test_a_second_report_changes_nothing(key: dict[str, Any], report: Report) -> None:
    report(key["key"])
    events = log.types()

    assert labels(report(key["key"], key["key"])) == ["true_positive", "true_positive"]

    assert log.types() == events


@pytest.mark.django_db(transaction=True)
def test_of_two_reports_at_once_one_is_announced(key: dict[str, Any], report: Report) -> None:
    at_once(*[partial(report, key["key"])] * 6)

    assert log.types().count("apikey.leaked") == 1


def test_a_new_secret_is_not_leaked(alice: Caller, key: dict[str, Any], report: Report) -> None:
    report(key["key"])
    path = f"/v1/tenants/acme/apikeys/{key['id']}"

    assert alice.post(f"{path}/rotate", {"overlap_seconds": 3600}).json()["leaked_at"]  # the old one still works
    assert alice.post(f"{path}/rotate/finish").json()["leaked_at"] is None


def test_what_no_longer_works_is_a_true_find_without_an_event(
    alice: Caller, key: dict[str, Any], report: Report
) -> None:
    path = f"/v1/tenants/acme/apikeys/{key['id']}"
    rotated = alice.post(f"{path}/rotate", {"overlap_seconds": 0}).json()
    assert labels(report(key["key"])) == ["true_positive"]
    alice.delete(path)

    assert labels(report(rotated["key"])) == ["true_positive"]

    assert "apikey.leaked" not in log.types()


def test_a_key_under_an_older_pepper_is_found(key: dict[str, Any], report: Report, settings: Any) -> None:
    settings.STOA_KEY_PEPPERS = ["a-newer-pepper-of-32-characters-at-least", *settings.STOA_KEY_PEPPERS]

    assert labels(report(key["key"])) == ["true_positive"]


def flipped(signature: str) -> str:
    raw = bytearray(base64.b64decode(signature))
    raw[-1] ^= 1
    return base64.b64encode(bytes(raw)).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {github.IDENTIFIER: "scanner-2"},
        {github.IDENTIFIER: ""},
        {github.IDENTIFIER: "é"},
        {github.IDENTIFIER: GITHUBS_IDENTIFIER},
        {github.SIGNATURE: ""},
        {github.SIGNATURE: "not base64"},
        {github.SIGNATURE: "AAAA"},
        {github.SIGNATURE: "é"},
        {github.SIGNATURE: GITHUBS_SIGNATURE},
        {github.SIGNATURE: flipped(GITHUBS_SIGNATURE)},
    ],
)
def test_a_forged_alert_is_refused(key: dict[str, Any], report: Report, headers: Mapping[str, str]) -> None:
    response = report(key["key"], headers=headers)

    assert response.status_code == 401
    assert json.loads(response.content)["error"]["details"][0]["code"] == "signature_invalid"
    assert "apikey.leaked" not in log.types()


def test_another_body_under_the_same_signature_is_refused(key_pair: ec.EllipticCurvePrivateKey) -> None:
    headers = {github.IDENTIFIER: GITHUBS_IDENTIFIER, github.SIGNATURE: GITHUBS_SIGNATURE}
    changed = GITHUBS_BODY.replace(b"content", b"commits")

    assert Client().post(ALERTS, changed, content_type="application/json", headers=headers).status_code == 401


def test_forgeries_are_limited_per_address_and_alerts_are_not(report: Report, settings: Any) -> None:
    settings.STOA_ANONYMOUS_RATE_LIMIT = 2
    statuses = [report(headers={github.SIGNATURE: ""}).status_code for _forgery in range(4)]

    assert statuses == [401, 401, 429, 429]
    assert labels(report()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[1]",
        b'[{"token": 1, "type": "x"}]',
        b'[{"type": "x"}]',
        b"\xff",
        b'[{"token": "\\ud800", "type": "x"}]',
        b"[" * 100_000,
        json.dumps([{"token": "x", "type": "y"}] * (github.MAX_LEAKS + 1)).encode(),
    ],
)
def test_a_signed_body_of_another_shape_is_a_400(report: Report, body: bytes) -> None:
    assert report(body=body).status_code == 400


def test_odd_members_harm_nothing(report: Report) -> None:
    entries: list[dict[str, Any]] = [
        {"token": "stoa_live_" + "\u0660" * 46, "type": "", "url": None, "source": 7, "more": [1]},
    ]
    assert labels(report(body=json.dumps(entries).encode())) == ["false_positive"]


def test_up_to_a_mebibyte_is_read(report: Report) -> None:
    limit = configured.STOA_MAX_LEAK_REPORT_BYTES
    fits = json.dumps([{"token": "x" * (limit - 50), "type": "y"}]).encode()
    assert len(fits) <= limit
    assert labels(report(body=fits)) == ["false_positive"]
    assert report(body=fits + b" " * 100).status_code == 413


def test_without_keys_there_is_no_such_page(settings: Any) -> None:
    settings.STOA_LEAK_KEYS = []
    assert Client().post(ALERTS, b"[]", content_type="application/json").status_code == 404


def test_only_post(key_pair: object) -> None:
    response = Client().get(ALERTS)
    assert (response.status_code, response["Allow"]) == (405, "POST")


@pytest.mark.parametrize("entry", ["x", "x=AAAA", "x=not base64", "=" + GITHUBS_KEY, "x=" + GITHUBS_KEY[:-8]])
def test_a_malformed_public_key_is_not_taken(entry: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - binascii and cryptography have messages of their own
        github.parse_public_keys((entry,))


def test_a_test_key_is_found_too(alice: Caller, subscription: Subscription, report: Report) -> None:
    issued = alice.post(
        "/v1/tenants/acme/apikeys", {"subscription_id": subscription.id, "name": "Sandbox", "mode": "test"}
    ).json()

    assert labels(report(issued["key"])) == ["true_positive"]
    assert ApiKey.objects.count() == KeySecret.objects.exclude(leaked_at=None).count() == 1


def rule(language: str) -> str:
    (block,) = blocks(read_page("secrets").text, language)
    return block


@pytest.mark.parametrize("prefix", ["stoa_live_", "stoa_test_", "stoa_gtw_"])
def test_the_scanners_rules_of_the_guide_find_our_credentials(prefix: str) -> None:
    gitleaks = tomllib.loads(rule("toml"))["rules"][0]
    semgrep = yaml.safe_load(rule("yaml"))["rules"][0]
    code = f'KEY = "{new_credential(prefix)}"'

    assert re.search(gitleaks["regex"], code, re.ASCII)
    assert any(keyword in code for keyword in gitleaks["keywords"])
    assert re.search(semgrep["pattern-regex"], code, re.ASCII)
    assert not re.search(gitleaks["regex"], code.replace('"', "x"), re.ASCII)
