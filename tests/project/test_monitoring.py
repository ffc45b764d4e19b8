"""The alerts and the dashboard that are shipped: Prometheus reads them, and each names metrics that /metrics has."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from pytest_django import Settings

from tests.programs import require_program
from tests.project.documents import ROOT

ALERTS = ROOT / "templates/monitoring/alerts.yml"
DASHBOARD = ROOT / "templates/monitoring/dashboard.json"
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
PANELS: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for each in PANELS for target in each["targets"]]
# There only if there is a replica.
OF_A_REPLICA = {"stoa_replica_up", "stoa_replica_lag_seconds"}

# For an alert: the series of its fault, minute by minute in Prometheus' notation, and the labels that it must have.
FAULTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "StoaDatabaseAway": ({"stoa_database_up": "0x20"}, {}),
    "StoaErrors": (
        {'stoa_http_requests_total{status="503"}': "0+60x20", 'stoa_http_requests_total{status="200"}': "0+600x20"},
        {},
    ),
    "StoaEventsWait": ({"stoa_events_waiting_age_seconds": "120+60x20"}, {}),
    "StoaDeliveriesLate": ({"stoa_delivery_delay_seconds": "400+60x20"}, {}),
    "StoaBrokerAway": ({"stoa_broker_up": "0x20"}, {}),
    "StoaTaskLate": (
        {
            'stoa_task_last_success_timestamp_seconds{task="t"}': "0x20",
            'stoa_task_interval_seconds{task="t"}': "5x20",
        },
        {"task": "t"},
    ),
    "StoaDatabaseSessionsUsedUp": (
        {'stoa_database_sessions{instance="a",state="idle"}': "90x20", "stoa_database_sessions_max": "100x20"},
        {},
    ),
    "StoaReplicaLags": ({"stoa_replica_up": "0x20"}, {}),
}


def promtool(*arguments: str) -> None:
    command = [require_program("promtool"), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert not done.returncode, done.stdout + done.stderr


def test_promtool_accepts_the_alerts() -> None:
    promtool("check", "rules", "--lint-fatal", str(ALERTS))


def test_prometheus_understands_the_panels(tmp_path: Path) -> None:
    # Grafana puts the interval in.
    expressions = [each.replace("$__rate_interval", "5m") for each in EXPRESSIONS]
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(expressions)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    promtool("check", "rules", str(file))


@pytest.mark.django_db
def test_each_metric_is_one_that_the_service_has(client: Client, settings: Settings) -> None:
    settings.STOA_METRICS_ALLOW = ["127.0.0.0/8"]
    client.get("/v1/gateway/authorize")
    text = client.get("/metrics").content.decode()
    # Of a histogram, TYPE has the name without _bucket.
    there = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    named = {re.sub(r"_bucket$", "", name) for each in EXPRESSIONS for name in re.findall(r"stoa_\w+", each)}

    assert named - there - OF_A_REPLICA == set()
    assert len(named) > 20


def test_each_label_is_one_that_the_metric_has(settings: Settings, client: Client, db: None) -> None:
    settings.STOA_METRICS_ALLOW = ["127.0.0.0/8"]
    text = client.get("/metrics").content.decode()
    labels = {label for each in EXPRESSIONS for label in re.findall(r"(?:by|on) \(([\w, ]+)\)", each)}
    wanted = {name.strip() for each in labels for name in each.split(",")} - {"le", "instance", "reason", "source"}

    assert [name for name in sorted(wanted) if not re.search(rf'[{{,]{name}="', text)] == []


def run_rules(folder: Path, series: dict[str, str], expected: dict[str, list[Any]]) -> str:
    """Let promtool run the alerts over series; return what it finds different after 15 minutes, "" if nothing."""
    tests = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": "15m", "alertname": name, "exp_alerts": alerts} for name, alerts in expected.items()
        ],
    }
    file = folder / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [tests]}))
    command = [require_program("promtool"), "test", "rules", str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("alert", FAULTS)
def test_an_alert_is_raised_by_its_fault(alert: str, tmp_path: Path) -> None:
    series, labels = FAULTS[alert]
    found = run_rules(tmp_path, series, {alert: []})

    # Nothing is expected, so that promtool shows what it gets.
    assert f'alertname="{alert}"' in found
    assert all(f'{name}="{value}"' in found for name, value in labels.items())


def test_a_quiet_service_raises_none(tmp_path: Path) -> None:
    series = {
        'up{job="stoa"}': "1x20",
        "stoa_database_up": "1x20",
        "stoa_broker_up": "1x20",
        "stoa_replica_up": "1x20",
        "stoa_replica_lag_seconds": "0x20",
        'stoa_http_requests_total{status="200"}': "0+600x20",
        'stoa_http_requests_total{status="503"}': "0+1x20",
        "stoa_events_waiting_age_seconds": "0x20",
        "stoa_delivery_delay_seconds": "1x20",
        "stoa_traffic_deltas_age_seconds": "5x20",
        'stoa_partitions_ahead{resolution="minute"}': "2x20",
        "stoa_chains_unsigned": "3x20",
        "stoa_chain_head_signed_timestamp_seconds": "0x20",
        'stoa_database_sessions{state="idle"}': "20x20",
        "stoa_database_sessions_max": "100x20",
    }

    assert run_rules(tmp_path, series, {rule["alert"]: [] for rule in RULES}) == ""


def test_every_alert_says_what_to_do() -> None:
    for rule in RULES:
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["alert"].startswith("Stoa")


def test_no_two_panels_lie_upon_each_other() -> None:
    places = [(each["gridPos"]["x"], each["gridPos"]["y"]) for each in PANELS]

    assert len(set(places)) == len(places)
    assert len({each["id"] for each in PANELS}) == len(PANELS)
