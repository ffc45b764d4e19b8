"""Which IP addresses our own requests must not reach, and the resolution of host names with a time-out.

Tenants choose the URLs of webhooks. Without this check, a URL could make us call services that only our network
reaches: databases, the cloud provider's metadata service, ourselves (server-side request forgery).
"""

import socket
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from threading import Thread
from threading import enumerate as living_threads
from time import monotonic

from django.conf import settings

from stoa_cp.net.addresses import is_public, is_within
from stoa_cp.net.urls import is_address

# Registering a webhook or an API waits for this, and so does each delivery. A delivery has 15 s in total.
RESOLVE_SECONDS = 2.0
THREAD_NAME = "resolve"

Answers = SimpleQueue[tuple[str, ...]]
HostAndPort = tuple[str, int]


class Unresolved(OSError):
    """The host name has no address at present, or the resolver did not answer within ``RESOLVE_SECONDS``."""


def is_forbidden(address: str) -> bool:
    """Tell whether our requests must not reach an IP address. ``STOA_EGRESS_ALLOW`` makes exceptions."""
    return not (is_within(address, settings.STOA_EGRESS_ALLOW) or is_public(address))


def addresses_of(host: str, port: int) -> tuple[str, ...]:
    """Return all addresses of a host name; an IP address is returned as it is. Takes up to 2 s. Raises Unresolved."""
    found = addresses_of_each([(host, port)])
    if not found:
        raise Unresolved(host)
    return found[host, port]


def addresses_of_each(hosts: Iterable[HostAndPort]) -> dict[HostAndPort, tuple[str, ...]]:
    """Resolve host names at the same time. Takes up to 2 s in all. Those without an address at present are missing."""
    found: dict[HostAndPort, tuple[str, ...]] = {}
    lookups: dict[HostAndPort, Answers] = {}
    for host in dict.fromkeys(hosts):
        if is_address(host[0]):
            found[host] = (host[0],)
        else:
            lookups[host] = _start_lookup(*host)
    deadline = monotonic() + RESOLVE_SECONDS
    for host, answers in lookups.items():
        try:
            addresses = answers.get(timeout=max(0.0, deadline - monotonic()))
        except Empty:
            continue
        if addresses:
            found[host] = addresses
    return found


def count_lookups() -> int:
    """Return how many threads of this process wait for the resolver."""
    return sum(thread.name.startswith(THREAD_NAME) for thread in living_threads())


def _start_lookup(name: str, port: int) -> Answers:
    """Resolve a name in another thread: getaddrinfo() has no time-out and cannot be interrupted.

    After the time-out the thread stays until the resolver gives up, and its result is dropped.
    """
    answers: Answers = SimpleQueue()
    Thread(target=_resolve, args=(name, port, answers), name=f"{THREAD_NAME} {name}", daemon=True).start()
    return answers


def _resolve(name: str, port: int, answers: Answers) -> None:
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        found = []
    # getaddrinfo() repeats an address for each protocol. dict.fromkeys keeps the resolver's order, which prefers the
    # addresses that this machine reaches best (RFC 6724).
    answers.put(tuple(dict.fromkeys(str(entry[4][0]) for entry in found)))
