"""What a client's kept connection lives through."""

import pytest

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from tests.apikeys.processes import Application, web_processes

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_answer_that_leaves_the_body_unread_ends_the_connection_and_says_so() -> None:
    with web_processes(Application()) as [server]:
        for _call in range(40):
            status, headers, _body = server.ask("POST", "/v1/tenants", {}, b"x" * 200_000)

            assert status == 401
            assert headers.get("connection") == "close"


def test_a_refusal_after_the_body_keeps_the_connection(realm: Grants) -> None:
    token = realm.key.sign(access_claims(PEOPLE["olga"], realm.issuer))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with web_processes(Application(environment={"STOA_OIDC_ISSUER": realm.issuer})) as [server]:
        for _call in range(3):
            status, answered, _body = server.ask("POST", "/v1/tenants", headers, b"{")

            assert status == 400
            assert answered.get("connection") != "close"
