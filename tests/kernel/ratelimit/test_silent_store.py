"""A Redis that accepts connections and answers nothing: calls are not counted, and hardly wait for it."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from tests.apikeys.processes import Application, WebProcess, web_processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.deadline]

CALLERS, CALLS = 4, 40  # as many callers as the server has threads
TIME_OUT_SECONDS = 0.25


@pytest.fixture
def server(realm: Grants) -> Iterator[WebProcess]:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        environment = {"STOA_COUNTER_URL": url, "STOA_OIDC_ISSUER": realm.issuer}
        with web_processes(Application(environment=environment)) as (server,):
            yield server


def test_a_silent_counter_store_stops_no_call(server: WebProcess, realm: Grants) -> None:
    token = {"Authorization": f"Bearer {realm.key.sign(access_claims(PEOPLE['olga'], realm.issuer))}"}
    assert server.ask("GET", "/v1/tenants", token)[0] == 200  # the slow first call of a process

    def seconds_of_calls(caller: WebProcess) -> list[float]:
        seconds = []
        for _call in range(CALLS):
            begun_at = time.monotonic()
            assert caller.ask("GET", "/v1/tenants", token)[0] == 200
            seconds.append(time.monotonic() - begun_at)
        caller.close()
        return seconds

    with ThreadPoolExecutor(CALLERS) as pool:
        of_callers = list(pool.map(seconds_of_calls, [server.twin() for _caller in range(CALLERS)]))

    assert max(max(seconds) for seconds in of_callers) < 1  # 5 s, if the client had no time-out of its own
    assert max(sum(seconds) for seconds in of_callers) < CALLS * TIME_OUT_SECONDS  # if each call waited for Redis
