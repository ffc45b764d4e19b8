"""Every operation of the document, called with what schemathesis makes up from it: right, wrong and absurd."""

import json
import os
from collections.abc import Iterator
from random import SystemRandom
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from stoa_cp.openapi.views import OPENAPI_PATH
from tests.contract.world import build_world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_connection")]

FIXED_SEED = 20260109
# One per run, with pytest-xdist one per worker; a failure prints it, and STOA_TEST_SEED takes it again.
RANDOM_SEED = int(os.environ.get("STOA_TEST_SEED") or SystemRandom().getrandbits(32))

# Checks that are switched off, each with its reason. Everything else that schemathesis can check is checked.
SWITCHED_OFF = {
    # No schema can say: a page beyond item 10,000, a cursor that we made, the plan's name, a host that resolves.
    "positive_data_acceptance": {"enabled": False},
}


def document(seed: int, *, phases: tuple[str, ...], examples: int, off: dict[str, Any] = SWITCHED_OFF) -> Any:
    config = {
        "seed": seed,
        "generation": {"max-examples": examples, "mode": "all", "database": "none"},
        "phases": {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")},
        "checks": off,
    }
    loaded = schemathesis.openapi.from_path(OPENAPI_PATH, config=SchemathesisConfig.from_dict(config))
    loaded.app = get_wsgi_application()
    return loaded


@schemathesis.serializer("application/x-ndjson")
def as_lines(_context: Any, records: Any) -> bytes:
    """Serialise a batch that comes as lines; what is no list is one line."""
    lines = records if isinstance(records, list) else [records]
    return "\n".join(json.dumps(line) for line in lines).encode()


fixed = document(FIXED_SEED, phases=("examples", "coverage", "fuzzing"), examples=5)
random = document(RANDOM_SEED, phases=("fuzzing",), examples=5)
# One example, because each is sent by five people. Without the check that sends each twice more, with no token and with
# a wrong one: that is the same for all.
of_everybody = document(
    RANDOM_SEED, phases=("fuzzing",), examples=1, off=SWITCHED_OFF | {"ignored_auth": {"enabled": False}}
)


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Keep the connection of the test's transaction: a WSGI application closes it around each request."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def world(db: None) -> dict[str, str]:
    return build_world()


@pytest.fixture
def tokens(realm: Grants) -> dict[str, str]:
    return {name: realm.key.sign(access_claims(person, realm.issuer)) for name, person in PEOPLE.items()}


@pytest.fixture
def token(tokens: dict[str, str]) -> str:
    return tokens["olga"]


def try_out(case: Case, world: dict[str, str], token: str) -> schemathesis.Response:
    """Send a case with a token at rows that exist, unless it is about just these, and undo it; return the answer."""
    negative = {place for place, part in case.meta.components.items() if part.mode.is_negative}
    if ParameterLocation.PATH not in negative:
        case.path_parameters = {name: world[name] for name in case.path_parameters or {}}
    headers = {} if ParameterLocation.HEADER in negative else {"Authorization": f"Bearer {token}"}
    with transaction.atomic():
        try:
            return case.call_and_validate(headers=headers)
        finally:
            transaction.set_rollback(True)


quickly = settings(suppress_health_check=list(HealthCheck), deadline=None)


@fixed.parametrize()
@quickly
def test_the_service_keeps_to_its_document(case: Case, world: dict[str, str], token: str) -> None:
    try_out(case, world, token)


@random.parametrize()
@quickly
def test_the_service_keeps_to_its_document_today(case: Case, world: dict[str, str], token: str) -> None:
    print(f"seed: {RANDOM_SEED}")  # noqa: T201 - pytest shows it with a failure
    try_out(case, world, token)


@of_everybody.parametrize()
@quickly
def test_everybody_is_answered_as_documented(case: Case, world: dict[str, str], tokens: dict[str, str]) -> None:
    print(f"seed: {RANDOM_SEED}")  # noqa: T201 - pytest shows it with a failure
    # Olga is in the tests above.
    for name in sorted(tokens.keys() - {"olga"}):
        answer = try_out(case, world, tokens[name])

        if name == "bob":  # of another tenant than the world's
            assert not [value for value in world.values() if value in answer.text]
