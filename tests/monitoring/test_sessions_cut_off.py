"""A database that hangs up on every session: no request but those in flight notices."""

import pytest
from django.db import connection

from catalog.gateways import register_gateway
from stoa_cp.actors import SYSTEM
from stoa_cp.credentials import new_credential
from tests.apikeys.processes import Application, web_processes
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.django_db(transaction=True)

TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
# A session that was told to end leaves this list after it has said farewell to its client.
LEFT = TERMINATE.replace("count(pg_terminate_backend(pid))", "count(*)")


def test_with_nothing_in_flight_nobody_gets_an_error() -> None:
    _gateway, token = register_gateway("edge-1", by=SYSTEM)
    secret = new_credential("stoa_live_")
    ApiKeyFactory(current_secret=secret)
    with web_processes(Application()) as [server]:
        server.token = token
        assert server.verify(secret) == "valid"
        for _round in range(5):
            with connection.cursor() as cursor:
                cursor.execute(TERMINATE)
                assert cursor.fetchone() != (0,)
                left = 1
                while left:
                    cursor.execute(LEFT)
                    (left,) = cursor.fetchone()
            assert [server.verify(secret) for _call in range(4)] == ["valid"] * 4
