"""The manifests of the guide: hardened as compose.yaml, with its commands, and with probes that exist."""

from typing import Any

import pytest
import yaml
from django.test import Client

from stoa_cp.guide.pages import read_page
from tests.production.compose import read_document, required_variables, services
from tests.project.documents import blocks

MANIFESTS: dict[str, Any] = {
    f"{each['kind']} {each['metadata']['name']}": each
    for each in map(yaml.safe_load, blocks(read_page("containers").text, "yaml"))
}
WORKLOADS = {name: each for name, each in MANIFESTS.items() if each["kind"] in {"Deployment", "Job"}}
COMPOSE = services(read_document(dict.fromkeys(required_variables(), "a-value")))
each_workload = pytest.mark.parametrize("manifest", WORKLOADS.values(), ids=list(WORKLOADS))


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return pod


def container_of(manifest: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod_of(manifest)["containers"]
    return dict(container)


@each_workload
def test_each_pod_is_hardened(manifest: dict[str, Any]) -> None:
    pod, container = pod_of(manifest), container_of(manifest)

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["enableServiceLinks"] is False
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/run/stoa", "/tmp"}  # noqa: S108 - a path of the image


@each_workload
def test_each_command_is_the_one_of_compose(manifest: dict[str, Any]) -> None:
    container = container_of(manifest)

    assert container.get("command") == COMPOSE[container["name"]].values.get("command")
    assert container["image"].rpartition("/")[2] == COMPOSE["web"].values["image"]


@each_workload
def test_each_selector_finds_its_pods(manifest: dict[str, Any]) -> None:
    if manifest["kind"] == "Deployment":
        assert manifest["spec"]["selector"]["matchLabels"] == manifest["spec"]["template"]["metadata"]["labels"]


@pytest.mark.django_db
def test_the_probes_of_the_web_process_answer() -> None:
    container = container_of(MANIFESTS["Deployment stoa-web"])

    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert Client().get(container[name]["httpGet"]["path"]).status_code == 200
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_a_rolling_update_takes_no_pod_away_before_another_is_ready() -> None:
    web = MANIFESTS["Deployment stoa-web"]

    assert web["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    # preStop, and the server's --workers-kill-timeout.
    assert pod_of(web)["terminationGracePeriodSeconds"] >= 10 + 30


def test_there_is_one_beat() -> None:
    beat = MANIFESTS["Deployment stoa-beat"]["spec"]

    assert beat["replicas"] == 1
    assert beat["strategy"] == {"type": "Recreate"}
