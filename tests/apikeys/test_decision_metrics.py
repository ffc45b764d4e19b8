"""What Prometheus reads of decisions: each answered one, by reason and by what decided; tokens leased and returned."""

from collections.abc import Callable, Iterator

import pytest

from apikeys.decisions.cache import decision_cache
from apikeys.decisions.reasons import Reason
from catalog.models import Api
from catalog.services.gateways import create_gateway
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.observability.metrics import OWN
from subscriptions.models import Subscription
from tests.apikeys.conftest import Edge
from tests.apikeys.test_fast_path import Service, question
from tests.listening import listener

pytestmark = pytest.mark.django_db(transaction=True)

Counted = dict[tuple[str, str], float]


def decisions() -> Counted:
    return {
        (sample.labels["reason"], sample.labels["source"]): sample.value
        for family in OWN.collect()
        for sample in family.samples
        if sample.name == "stoa_decisions_total"
    }


def counted_by(act: Callable[[], object]) -> Counted:
    """Return which decisions were counted while ``act`` ran."""
    before = decisions()
    act()
    return {
        series: count - before.get(series, 0) for series, count in decisions().items() if count > before.get(series, 0)
    }


def tokens(kind: str) -> float:
    return OWN.get_sample_value("stoa_call_tokens_total", {"step": kind}) or 0.0


def test_forward_auth_counts_what_the_database_decided(edge: Edge, payments: Api, secret: str) -> None:
    assert counted_by(lambda: edge.authorize("/acme/payments/7", secret)) == {("allowed", "database"): 1}
    mistyped = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    assert counted_by(lambda: edge.authorize("/acme/payments/7", mistyped)) == {("key_malformed", "request"): 1}
    assert counted_by(lambda: edge.authorize("/acme/payments/7")) == {("key_missing", "database"): 1}
    assert counted_by(lambda: edge.authorize("/acme/payments/7", "not-ours")) == {("key_malformed", "database"): 1}
    assert counted_by(lambda: edge.authorize("/acme/nothing", secret)) == {("route_unknown", "database"): 1}


def test_a_verification_is_counted_once(edge: Edge, mobile: Subscription, secret: str) -> None:
    assert counted_by(lambda: edge.verify(secret)) == {("allowed", "database"): 1}
    assert counted_by(lambda: edge.verify("")) == {("key_missing", "request"): 1}
    Subscription.objects.filter(pk=mobile.pk).update(status="suspended")
    assert counted_by(lambda: edge.verify(secret)) == {("subscription_suspended", "database"): 1}


def test_a_gateway_that_is_not_known_decides_nothing(payments: Api, secret: str) -> None:
    assert counted_by(lambda: Edge("stoa_gtw_nothing").authorize("/acme/payments/7", secret)) == {}


@pytest.fixture
def service(db: None) -> Iterator[Service]:
    token = create_gateway("edge-1", by=SYSTEM).secret
    with listener():
        yield Service(token)


@pytest.mark.usefixtures("keys_never_idle")
@pytest.mark.parametrize("kind", ["authorize", "verify"])
def test_the_fast_path_counts_what_the_cache_decided(
    kind: str, service: Service, mobile: Subscription, secret: str
) -> None:
    Subscription.objects.update(rate_limit=1_000_000, quota=1_000_000)
    method, path, body, headers = question(kind, secret)
    leased, returned = tokens("leased"), tokens("returned")
    counted = counted_by(lambda: [service.ask(method, path, body, **headers) for _call in range(10)])

    assert sum(counted.values()) == 10
    assert counted["allowed", "cache"] == 10 - service.django.calls
    assert counted["allowed", "cache"] >= 8
    # What this process has leased, and has neither used nor returned, it returns when the entry is dropped.
    held = tokens("leased") - leased - counted["allowed", "cache"]
    assert held > 0
    decision_cache.invalidate(None)
    assert tokens("returned") - returned == held


def test_the_labels_are_codes_of_ours() -> None:
    assert {reason for reason, _source in decisions()} <= {"allowed", *Reason.values}
    assert {source for _reason, source in decisions()} <= {"cache", "database", "request"}
