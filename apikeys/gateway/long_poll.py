"""Answers a configuration only when it is new: its tag, the file it is written to, and the long poll for changes."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import BoundedSemaphore
from time import monotonic, sleep

from django.db.models import Count, Sum

from apikeys.gateway.configuration import Tenants
from stoa_cp.eventlog.models import EventChain
from stoa_cp.rest.spooling import Spooled, spool

# A waiting gateway occupies a thread; and a proxy in front of us gives up after as long (nginx's proxy_read_timeout).
MAX_WAIT_SECONDS = 60
# A poll is one cheap statement (``state_version``), so two a second for each waiting gateway are no load, and half a
# second is soon enough for a configuration.
POLL_SECONDS = 0.5
# A waiting gateway occupies a thread of the web server, which has four per process (stoa_cp/devserver/programs.py).
# Half of them stay free for all other requests, whatever the number of gateways.
MAX_WAITING_PER_PROCESS = 2
# For a gateway that finds all slots taken. So it gets a change within 5 s instead of 0.5 s.
RETRY_AFTER_SECONDS = 5

long_poll_slots = BoundedSemaphore(MAX_WAITING_PER_PROCESS)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The content at one moment. Equal contents have equal tags.

    ``had_no_slot``: the gateway wanted to wait for a change, but too many others were waiting.
    """

    content: Spooled
    tag: str
    had_no_slot: bool = False


def write_configuration(pieces: Iterable[str]) -> Configuration:
    """Write the pieces of a configuration to a temporary file, which is gone when it is closed.

    The tag goes before the content, and depends on all of it. To read everything twice instead, once for the tag and
    once for the content, would be wrong: if a change is made in between and taken back later, a gateway would have the
    content of the change under the tag of the other, and keep it.
    """
    digest = hashlib.sha256()
    content = spool(_digested(pieces, digest.update))
    return Configuration(content, digest.hexdigest()[:32])


def _digested(pieces: Iterable[str], update: Callable[[bytes], None]) -> Iterator[str]:
    for piece in pieces:
        update(piece.encode())
        yield piece


def state_version(tenants: Tenants = None) -> tuple[int, int]:
    """Return numbers that grow with every event of these tenants: one cheap statement over the heads of their chains.

    Every change of a configuration emits an event, so equal numbers mean that nothing has changed, except for digests
    that were renewed under the newest pepper: the next request returns them, and until then the older ones are as good.
    """
    chains = EventChain.objects.all() if tenants is None else EventChain.objects.filter(tenant_id__in=tenants)
    state = chains.aggregate(chains=Count("pk"), events=Sum("sequence"))
    return state["chains"], state["events"] or 0


def wait_for_change(
    read: Callable[[], Iterable[str]], is_known: Callable[[str], bool], wait_seconds: float, tenants: Tenants = None
) -> Configuration:
    """Return what ``read`` yields as soon as its tag is not a known one; the known one when the time is over.

    Holds no transaction while it waits. Does not wait if MAX_WAITING_PER_PROCESS requests wait already.
    """
    deadline = monotonic() + wait_seconds
    # Before the content: after a change in between, the version differs and the content is read once more.
    seen = state_version(tenants)
    configuration = write_configuration(read())
    if not is_known(configuration.tag) or not wait_seconds:
        return configuration
    if not long_poll_slots.acquire(blocking=False):
        return replace(configuration, had_no_slot=True)
    try:
        while is_known(configuration.tag) and (left := deadline - monotonic()) > 0:
            sleep(min(POLL_SECONDS, left))
            now = state_version(tenants)
            if now != seen:
                configuration.content.file.close()
                seen, configuration = now, write_configuration(read())
    finally:
        long_poll_slots.release()
    return configuration
