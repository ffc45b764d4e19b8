"""What a client's kept connection lives through."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

import pytest

from apikeys.services.keys import NewKey, issue_key
from catalog.authentication import HEADER
from catalog.services.gateways import create_gateway
from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.rest.limits import VERIFY_PATH
from tenants.models import Tenant
from tests.apikeys.processes import Application, web_processes
from tests.factories import ApiFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db(transaction=True)

CONNECTIONS, VERIFICATIONS = 8, 50  # twice as many connections as the server has threads


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


def test_no_verification_closes_its_connection(acme: Tenant) -> None:
    mobile = SubscriptionFactory(tenant=acme, api=ApiFactory(tenant=acme), active=True, rate_limit=None, quota=None)
    keys = [issue_key(mobile, NewKey(), by=SYSTEM).secret for _connection in range(CONNECTIONS)]
    headers = {HEADER: create_gateway("edge-1", by=SYSTEM).secret, "Content-Type": "application/json"}

    # Neither the gateway nor a key is cached when the first calls come, all at once: Django answers these.
    with web_processes(Application()) as [server], ThreadPoolExecutor(CONNECTIONS) as pool:

        def verify_again_and_again(key: str) -> list[tuple[int, str, bool]]:
            with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
                connection.connect()
                connection.auto_open = False  # fails instead of opening another connection
                answers = []
                for _verification in range(VERIFICATIONS):
                    connection.request("POST", VERIFY_PATH, json.dumps({"key": key}), headers)
                    response = connection.getresponse()
                    answers.append((response.status, json.loads(response.read())["code"], response.will_close))
                return answers

        answers = [answer for answers in pool.map(verify_again_and_again, keys) for answer in answers]

    assert answers == [(200, "valid", False)] * CONNECTIONS * VERIFICATIONS
