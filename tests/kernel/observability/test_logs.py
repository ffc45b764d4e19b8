"""What the log keeps of a call: no query of a gateway's call, and no key of ours in full, wherever it stands."""

import json
import logging
from logging.config import DictConfigurator
from typing import Any

import pytest
import structlog
from django.test import Client

from stoa_cp.crypto.credentials import new_credential
from stoa_cp.settings.logging import logging_config

KEY = new_credential("stoa_live_")
SECRET = "hunter2hunter2"


def lines(caplog: pytest.LogCaptureFixture, *, as_json: bool) -> str:
    """Return the captured log as the configured formatter writes it."""
    config = logging_config(as_json=as_json)
    formatter = DictConfigurator(config).configure_formatter(config["formatters"]["structured"])
    return "\n".join(formatter.format(record) for record in caplog.records)


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["authorize", "authorize/nginx", "authorize/envoy/acme/pay", "keys/verify", "config", "nothing"]
)
def test_a_gateways_call_has_no_query_in_the_log(path: str, client: Client, everything: Any) -> None:
    call = f"/v1/gateway/{path}?password={SECRET}&b=%0A{SECRET}?{SECRET}"
    client.get(call, headers={"X-Forwarded-Uri": f"/a?{SECRET}"})
    text = lines(everything, as_json=True)
    assert f"GET /v1/gateway/{path}" in text
    assert SECRET not in text


@pytest.mark.django_db
def test_other_calls_keep_their_query(client: Client, everything: Any) -> None:
    client.get("/v1/tenants?page=7")
    assert "GET /v1/tenants?page=7" in lines(everything, as_json=True)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_key_is_masked_wherever_it_stands(*, as_json: bool, everything: Any) -> None:
    token = new_credential("stoa_gtw_")
    log = structlog.stdlib.get_logger("stoa.test")
    log.info("it holds %s", KEY, field=KEY, nested={"deep": [token]}, request=f"GET /v1/tenants/{KEY}?key={KEY}")
    logging.getLogger("a.library").warning("reads %s", token)
    try:
        int(KEY)
    except ValueError:
        log.exception("it failed")

    text = lines(everything, as_json=as_json)
    assert text.count("stoa_live_***") >= 5
    assert text.count("stoa_gtw_***") == 2
    assert KEY not in text
    assert token not in text
    if as_json:
        assert [json.loads(line) for line in text.splitlines()]


def test_what_is_no_key_stays(everything: Any) -> None:
    structlog.stdlib.get_logger("stoa.test").info("a key begins with stoa_live_ or stoa_test_")
    assert "stoa_live_ or stoa_test_" in lines(everything, as_json=True)
