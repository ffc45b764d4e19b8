"""Reads from the event log what tests compare."""

import json

from django.db.models import QuerySet

from stoa_cp.devserver.realm import PEOPLE
from stoa_cp.eventlog.models import Event


def subject(name: str) -> str:
    """Return the id under which the log names a member of the cast."""
    return PEOPLE[name].subject


def events() -> QuerySet[Event]:
    """Return all events in the order in which they were written."""
    return Event.objects.order_by("timestamp", "sequence")


def types() -> list[str]:
    return [event.type for event in events()]


def last_event() -> Event:
    """Return the newest event. Raises AttributeError if nothing has happened."""
    event = events().last()
    assert event is not None
    return event


def whole_log() -> str:
    """Return everything that the log holds, to look for what it must not hold."""
    return json.dumps([[event.data, event.changes, event.actor] for event in events()])
