"""compose.yaml: valid for compose, and hardened in each service."""

import re

import pytest
import yaml
from compose_spec import PyCompose

from tests.production import compose
from tests.production.compose import Service, read_document, required_variables, services

VARIABLES = dict.fromkeys(required_variables(), "a-value") | {"DOMAIN": "example.com"}
DOCUMENT = read_document(VARIABLES)
SERVICES = services(DOCUMENT)
EXACT = re.compile(r"[\w./-]+:\d+\.\d+(\.\d+)?[\w.-]*")
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))


def test_compose_accepts_the_file() -> None:
    read = PyCompose.from_yaml(yaml.safe_dump(DOCUMENT))
    read.validate()

    assert set(read.service_names()) == set(SERVICES)


def test_what_the_check_is_worth() -> None:
    broken = yaml.safe_dump(DOCUMENT | {"services": {"web": {"image": "x", "read_onlyy": True}}})

    with pytest.raises(ValueError, match="read_onlyy"):
        PyCompose.from_yaml(broken)


def test_it_has_what_the_guide_promises() -> None:
    assert set(SERVICES) >= {
        "web",
        "worker",
        "beat",
        "prepare",
        "certificates",
        "postgres",
        "redis",
        "keycloak",
        "nginx",
    }


@each_service
def test_each_service_is_hardened(service: Service) -> None:
    values = service.values

    assert int(values["user"].partition(":")[0]) >= 1000
    assert values["read_only"] is True
    assert values["cap_drop"] == ["ALL"]
    assert values["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(values)


@each_service
def test_each_image_has_an_exact_tag(service: Service) -> None:
    assert EXACT.fullmatch(service.values["image"])


@each_service
def test_each_service_that_stays_is_checked_or_says_why_not(service: Service) -> None:
    is_checked = service.health is not None or service.target == "service"

    assert is_checked
    if service.is_unchecked:
        assert service.is_once or service.name in {"worker", "beat", "traffic"}


@each_service
def test_each_service_waits_for_the_end_of_what_ends_and_the_health_of_what_stays(service: Service) -> None:
    for name, condition in service.waits_for.items():
        assert (condition == "service_completed_successfully") == SERVICES[name].is_once
        assert condition == "service_completed_successfully" or not SERVICES[name].is_unchecked


def test_the_service_does_not_own_the_tables_and_knows_no_password_of_the_superuser() -> None:
    for name in ("web", "worker", "beat", "traffic"):
        environment = SERVICES[name].values["environment"]
        assert environment["DATABASE_URL"].startswith("postgres://stoa_service:")
        assert not {"POSTGRES_PASSWORD", "STOA_RUNTIME_PASSWORD"} & set(environment)


def test_the_database_and_redis_have_no_way_out_and_one_port_is_published() -> None:
    assert DOCUMENT["networks"]["inside"]["internal"] is True
    assert SERVICES["postgres"].values["networks"] == SERVICES["redis"].values["networks"] == ["inside"]
    assert {name for name, each in SERVICES.items() if "ports" in each.values} == {"nginx"}


def test_a_missing_secret_is_named() -> None:
    for name in required_variables():
        with pytest.raises(compose.Missing, match=name):
            read_document({key: value for key, value in VARIABLES.items() if key != name})
