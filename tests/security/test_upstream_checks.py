"""The check of upstreams every five minutes: an API whose host was pointed to a forbidden address is refused."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from time import monotonic, sleep
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from catalog.models import Api
from catalog.services.apis import delete_api
from catalog.services.upstream_checks import CHECK_INTERVAL, check_due_upstreams, claim_due_apis, settle_check
from catalog.tasks import check_upstreams
from stoa_cp.celery import BEAT_SCHEDULE
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import Event
from tenants.models import Tenant
from tenants.services import delete_tenant
from tests import log
from tests.commands import run
from tests.conftest import Caller
from tests.factories import ApiFactory, TenantFactory
from tests.races import at_once, outcome_of
from tests.resolver import Names, replace_resolver
from webhooks.event_types import BROADCAST

pytestmark = pytest.mark.django_db


def make_due() -> None:
    Api.objects.update(upstream_check_due_at=timezone.now() - timedelta(seconds=1))


def check_again() -> None:
    make_due()
    check_due_upstreams()


def is_refused(api: Api) -> bool:
    api.refresh_from_db()
    return api.upstream_refused_at is not None


@pytest.mark.parametrize("field", ["upstream_url", "sandbox_url"])
def test_a_rebound_name_is_refused_until_it_is_clean(dave: Caller, acme: Tenant, names: Names, field: str) -> None:
    api = ApiFactory(tenant=acme, **{"upstream_url": "https://1.1.1.1", field: "https://rebind.example"})
    seen = []
    for address in ("1.1.1.1", "169.254.169.254", "127.0.0.1", None, "10.0.0.7"):
        names.addresses = {"rebind.example": address} if address else {}
        check_again()
        seen.append(is_refused(api))

    # While the name has no address, what was refused stays refused.
    assert seen == [False, True, True, True, False]
    assert log.types() == ["api.upstream_refused", "api.upstream_accepted"]
    event = Event.objects.get(type="api.upstream_refused")
    assert (event.tenant_id, event.actor) == (acme.id, "stoa:system")
    assert event.changes == {"upstream_refused_at": [None, event.data["upstream_refused_at"]]}
    assert {"api.upstream_refused", "api.upstream_accepted"} <= {str(name) for name in BROADCAST}
    assert dave.get(f"/v1/tenants/acme/apis/{api.id}").json()["upstream_refused_at"] is None


def test_a_client_sees_the_refusal_and_cannot_set_it(dave: Caller, acme: Tenant, names: Names) -> None:
    api = ApiFactory(tenant=acme, upstream_url="http://127.0.0.1:2019")
    check_again()

    path = f"/v1/tenants/acme/apis/{api.id}"
    seen = dave.get(path)
    assert seen.json()["upstream_refused_at"]
    assert dave.patch(path, {"upstream_refused_at": None}).status_code == 400
    assert seen["ETag"] != dave.patch(path, {"description": "x"})["ETag"]


def test_a_change_of_one_url_does_not_free_the_other(dave: Caller, acme: Tenant, names: Names) -> None:
    api = ApiFactory(tenant=acme, upstream_url="http://127.0.0.1:2019", sandbox_url="https://1.1.1.1")
    check_due_upstreams()
    path = f"/v1/tenants/acme/apis/{api.id}"

    dave.patch(path, {"sandbox_url": "https://1.0.0.1"})
    assert is_refused(api)
    check_due_upstreams()  # it is due at once
    assert is_refused(api)
    dave.patch(path, {"upstream_url": "https://1.1.1.1"})
    check_due_upstreams()
    assert not is_refused(api)


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://unix:/var/run/docker.sock:/", True),
        ("http://unix:8080", True),
        ("http://stoa_control_plane", True),
        ("http://user@10.0.0.7", True),
        ("http://10.1", True),
        ("http://my_app:8080/a:b", False),
        ("http://10.0.0.7", False),
    ],
)
def test_upstreams_from_before_the_rules_are_checked_for_their_host(url: str, names: Names, *, refused: bool) -> None:
    api = ApiFactory(upstream_url=url)
    check_due_upstreams()
    assert is_refused(api) is refused


def test_a_setting_that_changes_is_followed(settings: Settings, names: Names) -> None:
    settings.STOA_UPSTREAM_ALLOW = ["127.0.0.0/8"]
    api = ApiFactory(upstream_url="http://127.0.0.1:9100")
    check_due_upstreams()
    assert not is_refused(api)

    settings.STOA_UPSTREAM_ALLOW = []
    check_again()
    assert is_refused(api)


def test_what_is_not_live_is_not_looked_up(names: Names) -> None:
    ApiFactory(upstream_url="https://deleted.example", deleted_at=timezone.now())
    orphan = ApiFactory(upstream_url="https://orphan.example")
    delete_tenant(orphan.tenant, by=SYSTEM)
    ApiFactory(upstream_url="https://later.example", upstream_check_due_at=timezone.now() + timedelta(minutes=1))
    names.asked.clear()

    assert check_due_upstreams() == 0
    assert names.asked == []


def test_a_check_that_changes_nothing_writes_nothing_that_is_seen(names: Names) -> None:
    api = ApiFactory()
    before = Api.objects.values("version", "updated_at", "upstream_refused_at").get()

    assert run("check_upstreams") == ["1 APIs checked"]
    assert check_due_upstreams() == 0
    assert Api.objects.values("version", "updated_at", "upstream_refused_at").get() == before
    api.refresh_from_db()
    assert timezone.now() < api.upstream_check_due_at <= timezone.now() + CHECK_INTERVAL
    assert not log.events().exists()


def test_all_that_are_due_are_checked_and_one_host_is_asked_for_once(names: Names) -> None:
    for number in range(70):
        ApiFactory(upstream_url=f"https://shared.example/{number}")

    assert check_due_upstreams() == 70
    assert names.asked.count("shared.example") == 3  # once in each batch of 32


def test_the_sweep_is_on_the_schedule() -> None:
    entry = next(entry for entry in BEAT_SCHEDULE.values() if entry["task"] == check_upstreams.name)
    assert CHECK_INTERVAL.total_seconds() + entry["schedule"] <= 300


@pytest.mark.deadline
def test_names_that_hang_delay_a_batch_by_the_time_out_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_args: object, **_options: object) -> list[Any]:
        sleep(3)
        return []

    replace_resolver(monkeypatch, hang)
    monkeypatch.setattr("stoa_cp.net.egress.RESOLVE_SECONDS", 0.2)
    for number in range(10):
        ApiFactory(upstream_url=f"https://hang-{number}.example")
    started_at = monotonic()

    assert check_due_upstreams() == 10
    assert monotonic() - started_at < 2.5  # one after the other would take 2 s, and 3 s each without the time-out


def test_no_more_names_are_asked_for_than_there_are_threads(monkeypatch: pytest.MonkeyPatch, names: Names) -> None:
    monkeypatch.setattr("catalog.services.upstream_checks.MAX_LOOKUPS", 0)
    ApiFactory()

    assert check_due_upstreams() == 0
    assert names.asked == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_the_work(names: Names) -> None:
    ApiFactory.create_batch(8, tenant=TenantFactory())

    claimed = at_once(*[claim_due_apis] * 6)

    ids = [api.id for batch in claimed for api in batch]
    assert sorted(ids) == sorted(Api.objects.values_list("id", flat=True))


@pytest.mark.django_db(transaction=True)
def test_a_result_about_something_else_is_dropped(dave: Caller) -> None:
    tenant = TenantFactory(name="acme")
    moved, again, deleted = ApiFactory.create_batch(3, tenant=tenant, upstream_url="https://rebind.example")
    claimed = claim_due_apis()
    dave.patch(f"/v1/tenants/acme/apis/{moved.id}", {"upstream_url": "https://1.1.1.1"})
    Api.objects.filter(pk=again.pk).update(upstream_check_due_at=timezone.now())
    delete_api(deleted, by=SYSTEM)

    for api in claimed:
        settle_check(api, {"https://rebind.example": "refused"})

    assert not any(map(is_refused, (moved, again, deleted)))


@pytest.mark.django_db(transaction=True)
def test_a_check_and_a_change_at_once_do_not_undo_each_other(
    dave: Caller, names: Names, call_as: Callable[[str], Caller]
) -> None:
    tenant = TenantFactory(name="acme")
    for number in range(10):
        api = ApiFactory(tenant=tenant, upstream_url="http://127.0.0.1:2019")
        (claimed,) = claim_due_apis()
        change = {"description": f"number {number}"}
        settle = partial(settle_check, claimed, {"http://127.0.0.1:2019": "refused"})

        at_once(outcome_of(settle), partial(dave.patch, f"/v1/tenants/acme/apis/{api.id}", change))

        assert is_refused(api)
        assert api.description == f"number {number}"
