"""A database that hangs up on every session: no request but those in flight notices."""

import pytest

from catalog.services.gateways import create_gateway
from stoa_cp.crypto.credentials import new_credential
from stoa_cp.domain.actors import SYSTEM
from tests.apikeys.processes import Application, web_processes
from tests.factories import ApiKeyFactory
from tests.sessions import end_other_sessions

pytestmark = pytest.mark.django_db(transaction=True)


def test_with_nothing_in_flight_nobody_gets_an_error() -> None:
    token = create_gateway("edge-1", by=SYSTEM).secret
    secret = new_credential("stoa_live_")
    ApiKeyFactory(current_secret=secret)
    with web_processes(Application()) as [server]:
        server.token = token
        assert server.verify(secret) == "valid"
        for _round in range(5):
            assert end_other_sessions()
            assert [server.verify(secret) for _call in range(4)] == ["valid"] * 4
