"""Answers a configuration only when it is new: its tag, the file it is written to, and the long poll for changes."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import BoundedSemaphore
from time import monotonic, sleep
from typing import NamedTuple

from django.db.models import Count, Sum

from apikeys.gateway.configuration import Tenants
from apikeys.gateway.document import stream_document
from apikeys.gateway.exporters import stream_configuration
from apikeys.gateway.exporters.site import describe_site
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

# Each gateway that is bound to other tenants has tags of its own.
MAX_TAGS = 1_000

long_poll_slots = BoundedSemaphore(MAX_WAITING_PER_PROCESS)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The content at one moment; None if its tag is known. Equal contents have equal tags.

    ``had_no_slot``: the gateway wanted to wait for a change, but too many others were waiting.
    """

    tag: str
    content: Spooled | None = None
    had_no_slot: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """What a gateway of these tenants asks for: the document (``json``), or the file of a program."""

    program: str
    tenants: tuple[str, ...] | None = None

    def read(self) -> Iterable[str]:
        if self.program == "json":
            return stream_document(self.tenants)
        return stream_configuration(self.program, describe_site(self.tenants))


class TagOfVersion(NamedTuple):
    """The tag of the content at a version of the events."""

    version: tuple[int, int]
    tag: str
    valid_until: float  # on the monotonic clock


# So that a gateway that polls costs one statement while nothing happens, however long its configuration is. What ends
# without an event, such as a key's time, is noticed when a tag's time is over: such a gateway ends it by itself.
_last_tags: dict[Source, TagOfVersion] = {}


def write_configuration(pieces: Iterable[str]) -> Configuration:
    """Write the pieces of a configuration to a temporary file, which is gone when it is closed.

    The tag goes before the content, and depends on all of it. To read everything twice instead, once for the tag and
    once for the content, would be wrong: if a change is made in between and taken back later, a gateway would have the
    content of the change under the tag of the other, and keep it.
    """
    digest = hashlib.sha256()
    content = spool(_digested(pieces, digest.update))
    return Configuration(digest.hexdigest()[:32], content)


def _digested(pieces: Iterable[str], update: Callable[[bytes], None]) -> Iterator[str]:
    for piece in pieces:
        update(piece.encode())
        yield piece


def state_version(tenants: Tenants = None) -> tuple[int, int]:
    """Return numbers that grow with every event of these tenants: one cheap statement over the heads of their chains.

    Every change of a configuration emits an event, so equal numbers mean that nothing has changed, except for digests
    that were renewed under the newest pepper: a request returns them within a minute, and the older ones are as good.
    """
    chains = EventChain.objects.all() if tenants is None else EventChain.objects.filter(tenant_id__in=tenants)
    state = chains.aggregate(chains=Count("pk"), events=Sum("sequence"))
    return state["chains"], state["events"] or 0


def wait_for_change(source: Source, is_known: Callable[[str], bool], wait_seconds: float) -> Configuration:
    """Return the configuration as soon as its tag is not a known one; the known tag alone when the time is over.

    Holds no transaction while it waits. Does not wait if MAX_WAITING_PER_PROCESS requests wait already.
    """
    deadline = monotonic() + wait_seconds
    configuration = _read_unless_known(source, is_known)
    if configuration.content or not wait_seconds:
        return configuration
    if not long_poll_slots.acquire(blocking=False):
        return replace(configuration, had_no_slot=True)
    try:
        while not configuration.content and (left := deadline - monotonic()) > 0:
            sleep(min(POLL_SECONDS, left))
            configuration = _read_unless_known(source, is_known)
    finally:
        long_poll_slots.release()
    return configuration


def _read_unless_known(source: Source, is_known: Callable[[str], bool]) -> Configuration:
    # Before the content: after a change in between, the version differs and the content is read once more.
    version = state_version(source.tenants)
    last = _last_tags.get(source)
    if last and last.version == version and monotonic() < last.valid_until and is_known(last.tag):
        return Configuration(last.tag)
    configuration = write_configuration(source.read())
    if len(_last_tags) >= MAX_TAGS:
        _last_tags.clear()
    _last_tags[source] = TagOfVersion(version, configuration.tag, monotonic() + MAX_WAIT_SECONDS)
    if configuration.content and is_known(configuration.tag):
        configuration.content.file.close()
        return Configuration(configuration.tag)
    return configuration
