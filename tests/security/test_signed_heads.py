"""Signed heads: what the owner of the database can change unseen, and what a head outside the database shows."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.exceptions import ImproperlyConfigured

from stoa_cp.checks import check_audit_keys
from stoa_cp.crypto.audit_keys import audit_keys, pem_of, read_public_keys
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.emit import PLATFORM_LOG
from stoa_cp.eventlog.heads import NoSignedHead, parse_line
from stoa_cp.eventlog.models import EventChain
from tenants.models import Tenant
from tenants.services import delete_tenant
from tests.answers import NOT_FOUND, refusal_of
from tests.commands import refusal_of_command, run
from tests.conftest import Caller
from tests.programs import require_program
from tests.project.documents import ROOT, blocks
from tests.security.tampering import append, cut_off, remove, rewrite

pytestmark = pytest.mark.django_db

CHAIN = "ten-0123456789abcdef"
OTHER = "ten-fedcba9876543210"
SEED = base64.b64encode(b"s" * 32).decode()
OTHER_SEED = base64.b64encode(b"o" * 32).decode()


@pytest.fixture(autouse=True)
def chains(db: None, settings: Any) -> None:
    """Five events of one tenant, one of another, one of the platform."""
    settings.STOA_AUDIT_KEYS = [SEED]
    append(CHAIN, 5)
    append(OTHER)
    append(PLATFORM_LOG)


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """The file in which a witness keeps the heads."""
    path = tmp_path / "heads.jsonl"
    export(path)
    return path


def export(path: Path) -> None:
    run("export_heads", "--output", str(path))


def check(path: Path, *options: str) -> list[str]:
    return run("check_chain", "--against", str(path), *options)


def refusal(path: Path, *options: str) -> str:
    return refusal_of_command("check_chain", "--against", str(path), *options)


def test_a_log_as_it_was_fits_its_heads(heads: Path) -> None:
    append(CHAIN, 3)
    export(heads)

    assert check(heads) == ["3 chains are whole.", "6 signed heads fit."]
    assert check(heads, CHAIN) == ["1 chains are whole.", "2 signed heads fit."]


def test_a_rewritten_log_is_whole_by_itself_and_contradicts_its_heads(heads: Path) -> None:
    append(CHAIN, 3)
    export(heads)
    rewrite(CHAIN, 7)

    assert run("check_chain") == ["3 chains are whole."]
    first, *_rest = refusal(heads).splitlines()
    assert first.startswith(f"The chain of {CHAIN} was rewritten: event 8, evt-")
    assert first.endswith("so one of the events 6 to 8 was changed.")


def test_heads_that_were_signed_after_the_change_do_not_hide_it(heads: Path) -> None:
    rewrite(CHAIN, 2)
    append(CHAIN)
    export(heads)

    assert "one of the events 1 to 5 was changed" in refusal(heads)


def test_an_event_between_two_heads_of_its_own_is_named_alone(heads: Path) -> None:
    append(CHAIN)
    export(heads)
    rewrite(CHAIN, 6)

    assert "so event 6 was changed." in refusal(heads)


def test_heads_in_another_order_say_the_same(heads: Path) -> None:
    append(CHAIN)
    export(heads)
    rewrite(CHAIN, 3)
    heads.write_text("".join(reversed(heads.read_text().splitlines(keepends=True))))

    assert "one of the events 1 to 5 was changed" in refusal(heads)


def test_a_chain_that_was_cut_off_is_named(heads: Path) -> None:
    cut_off(CHAIN, after=3)

    assert run("check_chain") == ["3 chains are whole."]
    assert f"The chain of {CHAIN} ends at event 3, but its event 5 was signed at " in refusal(heads)


def test_a_chain_that_was_removed_is_named(heads: Path) -> None:
    remove(CHAIN)

    assert run("check_chain") == ["2 chains are whole."]
    assert f"The chain of {CHAIN} is missing, but its event 5 was signed at " in refusal(heads)


def test_the_chain_of_a_deleted_tenant_stays_under_guard(heads: Path, acme: Tenant) -> None:
    delete_tenant(acme, by=SYSTEM)
    export(heads)
    assert check(heads)[0] == "4 chains are whole."
    remove(acme.id)

    assert f"The chain of {acme.id} is missing" in refusal(heads)


def test_a_chain_without_a_head_is_mentioned(heads: Path) -> None:
    heads.write_text("".join(line for line in heads.read_text().splitlines(keepends=True) if CHAIN not in line))

    assert check(heads)[-1] == f"The chain of {CHAIN} has no signed head."


def changed(line: str, **members: Any) -> str:
    return json.dumps(json.loads(line) | members) + "\n"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("tenant_id", OTHER),
        ("sequence", 4),
        ("hash", "00" * 32),
        ("at", "2020-01-01T00:00:00Z"),
        ("signature", base64.b64encode(bytes(64)).decode()),
    ],
)
def test_the_signature_covers_every_member(heads: Path, member: str, value: Any) -> None:
    line, *_others = heads.read_text().splitlines()
    heads.write_text(changed(line, **{member: value}))

    assert "Line 1 is forged or altered: its signature is wrong." in refusal(heads)


def test_a_head_of_an_unknown_key_proves_nothing(heads: Path, settings: Any) -> None:
    settings.STOA_AUDIT_KEYS = [OTHER_SEED]

    assert "Line 1 is forged or of another deployment: the key " in refusal(heads)


def test_heads_of_another_deployment_with_the_same_key_contradict(heads: Path, tmp_path: Path) -> None:
    remove(OTHER)
    append(OTHER)

    assert f"The chain of {OTHER} was rewritten: event 1, evt-" in refusal(heads)


HEAD = {"tenant_id": CHAIN, "sequence": 1, "hash": "00" * 32, "at": "2026-01-01T00:00:00Z", "key_id": "0" * 16}
SIGNED = HEAD | {"signature": base64.b64encode(bytes(64)).decode()}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 900,
        json.dumps(HEAD),
        json.dumps(SIGNED | {"more": 1}),
        json.dumps(SIGNED | {"sequence": True}),
        json.dumps(SIGNED | {"sequence": 0}),
        json.dumps(SIGNED | {"sequence": 2**63}),
        json.dumps(SIGNED | {"sequence": "1"}),
        json.dumps(SIGNED | {"tenant_id": "a\x00b"}),
        json.dumps(SIGNED | {"tenant_id": "\ud800"}),
        json.dumps(SIGNED | {"tenant_id": None}),
        json.dumps(SIGNED | {"hash": "0"}),
        json.dumps(SIGNED | {"at": "yesterday"}),
        json.dumps(SIGNED | {"signature": "x" * 88}),
        json.dumps(SIGNED) + " " * 1000,
    ],
)
def test_a_line_of_another_form_is_no_head(line: str) -> None:
    assert parse_line(json.dumps(SIGNED)).sequence == 1
    with pytest.raises(NoSignedHead):
        parse_line(line)


def test_a_file_without_heads_is_no_proof(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    path.write_bytes(b"")
    assert refusal(path).endswith("has no signed head.")
    path.write_bytes(b"\xff\xfe" + b"x" * 5_000)
    assert refusal(path).startswith("Line 1 is no signed head.")
    assert "No such file" in refusal(tmp_path / "nothing")


def test_of_many_wrong_lines_the_first_are_shown_and_all_counted(heads: Path) -> None:
    heads.write_text("x\n" * 250)
    shown = refusal(heads).splitlines()

    assert shown[99:101] == ["Line 100 is no signed head.", "150 more lines are no heads of ours."]


def test_after_a_rotation_old_heads_still_count(heads: Path, settings: Any, tmp_path: Path) -> None:
    kept = tmp_path / "keys.pem"
    settings.STOA_AUDIT_KEYS = [OTHER_SEED, SEED]
    export(heads)
    kept.write_text("".join(f"{line}\n" for line in run("export_heads", "--public-keys")))

    assert check(heads)[1] == "6 signed heads fit."
    settings.STOA_AUDIT_KEYS = [OTHER_SEED]
    assert "Line 1 is forged or of another deployment" in refusal(heads)
    assert check(heads, "--public-keys", str(kept))[1] == "6 signed heads fit."


def test_an_auditor_needs_no_seed(heads: Path, settings: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys.pem"
    run("export_heads", "--public-keys", "--output", str(keys))
    settings.STOA_AUDIT_KEYS = []

    assert check(heads, "--public-keys", str(keys))[1] == "3 signed heads fit."
    assert "STOA_AUDIT_KEYS" in refusal(heads)
    keys.write_text("no key")
    assert "not a file of Ed25519 public keys" in refusal(heads, "--public-keys", str(keys))


def test_the_guide_shows_how_to_verify_without_this_program(heads: Path, tmp_path: Path) -> None:
    keys, script = tmp_path / "keys.pem", tmp_path / "verify.py"
    run("export_heads", "--public-keys", "--output", str(keys))
    (text,) = blocks((ROOT / "templates/guide/audit.md").read_text(), "python")
    script.write_text(text)

    def verify() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), str(keys), str(heads)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)

    assert verify().stdout == "3 signatures are right.\n"
    heads.write_text(changed(heads.read_text().splitlines()[0], sequence=4))
    assert "InvalidSignature" in verify().stderr


def test_the_guide_shows_how_to_verify_with_openssl(heads: Path, tmp_path: Path) -> None:
    require_program("openssl")
    require_program("jq")
    run("export_heads", "--public-keys", "--output", str(tmp_path / "keys.pem"))
    (text,) = [block for block in blocks((ROOT / "templates/guide/audit.md").read_text(), "sh") if "pkeyutl" in block]

    def verify() -> list[str]:
        done = subprocess.run(["sh", "-c", text], cwd=tmp_path, check=False, capture_output=True, text=True, timeout=30)
        return done.stdout.splitlines()

    last = heads.read_text().splitlines()[-1]
    assert verify() == ["Signature Verified Successfully", json.loads(last)["key_id"]]
    heads.write_text(changed(last, sequence=4))
    assert "Signature Verified Successfully" not in verify()


def test_without_a_key_nothing_is_signed(settings: Any, olga: Caller) -> None:
    settings.STOA_AUDIT_KEYS = []

    assert refusal_of_command("export_heads") == "STOA_AUDIT_KEYS is not set."
    assert refusal_of_command("export_heads", "--public-keys") == "STOA_AUDIT_KEYS is not set."
    assert refusal_of(olga.get("/v1/events/heads")) == NOT_FOUND
    assert [warning.id for warning in check_audit_keys()] == ["stoa_cp.W002"]


@pytest.mark.parametrize("seed", ["hunter2", base64.b64encode(b"s" * 31).decode(), "é" * 44, "=" * 44])
def test_a_bad_seed_is_named_by_its_place_and_not_shown(settings: Any, seed: str) -> None:
    settings.STOA_AUDIT_KEYS = [SEED, seed]

    with pytest.raises(ImproperlyConfigured, match=r"STOA_AUDIT_KEYS\[1\]") as fault:
        audit_keys()
    assert seed not in str(fault.value)


def test_both_alphabets_of_base64_are_read(settings: Any) -> None:
    seed = base64.b64encode(b"\xfb\xff" * 16).decode()
    settings.STOA_AUDIT_KEYS = [seed, seed.replace("+", "-").replace("/", "_")]

    first, second = audit_keys()
    assert first.private_bytes_raw() == second.private_bytes_raw() == b"\xfb\xff" * 16


def test_a_key_of_another_kind_is_refused() -> None:
    ours = pem_of(Ed25519PrivateKey.generate().public_key())
    assert len(read_public_keys(ours + ours)) == 1
    with pytest.raises(ValueError, match="Ed25519"):
        read_public_keys("")


def lines(response: Any) -> list[dict[str, Any]]:
    assert response["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.content.decode().splitlines()]


def test_over_rest_the_platform_reads_all_and_a_tenant_its_own(
    olga: Caller, victor: Caller, bob: Caller, acme: Tenant, globex: Tenant
) -> None:
    append(acme.id, 2)
    append(globex.id)

    assert [head["tenant_id"] for head in lines(olga.get("/v1/events/heads"))] == sorted(
        [CHAIN, OTHER, PLATFORM_LOG, acme.id, globex.id]
    )
    assert [(head["tenant_id"], head["sequence"]) for head in lines(victor.get("/v1/events/heads"))] == [(acme.id, 2)]
    assert [head["tenant_id"] for head in lines(bob.get("/v1/events/heads"))] == [globex.id]


def test_the_answer_over_rest_is_a_file_of_heads(olga: Caller, tmp_path: Path) -> None:
    path, keys = tmp_path / "heads.jsonl", tmp_path / "keys.pem"
    path.write_bytes(olga.get("/v1/events/heads").content)
    keys.write_text("".join(item["public_key"] for item in olga.get("/v1/events/keys").json()["items"]))

    assert check(path, "--public-keys", str(keys))[1] == "3 signed heads fit."


def test_the_heads_come_in_pages(olga: Caller) -> None:
    url, seen = "/v1/events/heads?limit=2", []
    while url:
        response = olga.get(url)
        seen += [head["tenant_id"] for head in lines(response)]
        url = response.headers.get("Link", "").partition(">")[0].removeprefix("<http://testserver")

    assert seen == sorted([CHAIN, OTHER, PLATFORM_LOG])


def test_a_page_without_heads_has_its_media_type(olga: Caller) -> None:
    assert lines(olga.get("/v1/events/heads?after=z")) == []


def test_a_client_may_prefer_one_document(olga: Caller) -> None:
    page = olga.get("/v1/events/heads?limit=1", Accept="application/json").json()

    assert page["items"][0].keys() == {*HEAD, "signature"}
    assert (page["limit"], page["next_cursor"]) == (1, page["items"][0]["tenant_id"])


@pytest.mark.parametrize("query", ["after=..", "after=" + "a" * 21, "limit=0", "tenant=x"])
def test_an_error_is_the_usual_envelope(olga: Caller, query: str) -> None:
    response = olga.get(f"/v1/events/heads?{query}", Accept="application/x-ndjson")

    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == query.partition("=")[0]


def test_a_chain_without_an_event_is_no_head(heads: Path, olga: Caller) -> None:
    EventChain.objects.create(tenant_id="ten-empty", hash=bytes(32))

    assert "ten-empty" not in olga.get("/v1/events/heads").content.decode()
