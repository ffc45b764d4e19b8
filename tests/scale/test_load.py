"""The loaded rows are what the services would have made."""

from datetime import timedelta

import pytest

from apikeys.models import ApiKey, KeySecret
from catalog.authentication import HEADER
from catalog.models import Api
from stoa_cp.eventlog.models import Event
from subscriptions.models import Subscription
from tests.commands import run
from tests.conftest import Caller
from tests.scale.apikeys import REVOKED
from tests.scale.catalog import GATEWAY_TOKEN
from tests.scale.loading import load_part
from tests.scale.sizes import DAYS, Sizes
from tests.scale.tenants import tenant_id, tenant_name
from tests.scale.values import NOW, credential_of
from webhooks.models import Attempt, Delivery

pytestmark = pytest.mark.django_db


def test_every_row_has_one_owner_and_one_place() -> None:
    sizes = Sizes.of_part(0.003)
    for number in range(sizes.apis):
        assert sizes.number(sizes.owner(number), sizes.place(number)) == number
    for total in (1, 9, 10, 11, sizes.apis):
        owners = [sizes.owner(number) for number in range(total)]
        for tenant in range(sizes.tenants):
            assert sizes.count(tenant, total) == owners.count(tenant)


def test_the_chains_are_whole(at_scale: Sizes) -> None:
    assert run("check_chain") == [f"{at_scale.tenants} chains are whole."]


def test_there_are_as_many_rows_as_asked_for(at_scale: Sizes) -> None:
    assert Api.objects.count() == at_scale.apis == 1_000
    assert Subscription.objects.count() == ApiKey.objects.count() == at_scale.subscriptions == 10_000
    assert KeySecret.objects.filter(valid_until=None).count() == at_scale.subscriptions
    assert Event.objects.count() == at_scale.events == 50_000
    assert Delivery.objects.count() == at_scale.deliveries == 20_000
    assert Attempt.objects.count() > at_scale.deliveries
    assert Api.objects.filter(tenant=tenant_id(0)).count() == at_scale.count(0, at_scale.apis) == 100


def test_keys_verify_and_revoked_ones_do_not(at_scale: Sizes, anonymous: Caller) -> None:
    codes = [
        anonymous.post("/v1/gateway/keys/verify", {"key": credential_of(number)}, **{HEADER: GATEWAY_TOKEN}).json()[
            "code"
        ]
        for number in (2, REVOKED)
    ]
    assert codes == ["valid", "key_revoked"]


def test_metrics_of_the_large_tenant_reach_back_400_days(at_scale: Sizes, olga: Caller) -> None:
    first = (NOW - timedelta(days=DAYS - 1)).date()
    answer = olga.get(f"/v1/tenants/{tenant_name(0)}/metrics?granularity=day&start_date={first}")
    assert len(answer.json()["metrics"]) == DAYS


def test_a_database_with_tenants_is_left_alone(at_scale: Sizes) -> None:
    with pytest.raises(SystemExit, match="empty"):
        load_part(0.001)
