"""Meters in the console: seen, and set back to zero."""

import pytest
from django.test import Client

from apikeys.decisions.call import Call
from apikeys.decisions.decide import decide
from apikeys.models import Meter
from stoa_cp.crypto.credentials import new_credential
from stoa_cp.eventlog.models import Event
from tests.factories import ApiKeyFactory
from tests.kernel.console.pages import answer, dialog_of, list_of, page_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def meter(db: None) -> Meter:
    secret = new_credential("stoa_live_")
    ApiKeyFactory(current_secret=secret)
    decide(Call(secret))
    Meter.objects.update(hour_calls=1_234, month_calls=1_234)
    return Meter.objects.get()


def test_a_meter_is_shown_with_its_counts(console: Client, meter: Meter) -> None:
    for page in (list_of(Meter), page_of(meter)):
        shown = console.get(page).content.decode()
        assert meter.subject in shown
        assert "1,234" in shown


def test_a_meter_is_reset_by_whoever_may_operate(console: Client, readonly_console: Client, meter: Meter) -> None:
    assert answer(readonly_console, dialog_of(meter, "reset")).status_code == 403
    answer(console, dialog_of(meter, "reset"))
    meter.refresh_from_db()
    assert (meter.hour_calls, meter.month_calls) == (0, 0)
    assert Event.objects.get(type="quota.reset").actor.startswith("stoa:operator:")
