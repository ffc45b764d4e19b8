"""What a client's kept connection lives through."""

import pytest

from tests.apikeys.processes import Application, web_processes

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_refused_body_does_not_cost_the_connection() -> None:
    with web_processes(Application()) as [server]:
        for _call in range(40):
            status, headers, _body = server.ask("POST", "/v1/tenants", {}, b"x" * 200_000)

            assert status == 401
            assert headers.get("connection") != "close"
