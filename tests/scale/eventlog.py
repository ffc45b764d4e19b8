"""Events with real hash chains, in the order of their times, and the heads of the chains. All were fanned out."""

import json
from collections.abc import Iterator

from stoa_cp.eventlog.chain import GENESIS, link_hash
from stoa_cp.eventlog.models import Event, EventChain
from tests.scale.copying import copy
from tests.scale.sizes import Sizes
from tests.scale.subscriptions import subscription_id
from tests.scale.tenants import tenant_id
from tests.scale.values import id_of, moment_of

# In equal parts. All are about subscriptions: `tenant.updated` is the type that did not happen.
TYPES = ("subscription.created", "subscription.approved", "subscription.updated", "subscription.revoked")
COLUMNS = (
    "id", "tenant_id", "sequence", "type", "timestamp", "actor", "request_id", "address", "data", "changes",
    "previous_hash", "hash",
)  # fmt: skip


def load(sizes: Sizes) -> None:
    heads = dict.fromkeys(range(sizes.tenants), (0, GENESIS))
    copy(Event, COLUMNS, _rows(sizes, heads), sizes.events)
    chains = ((tenant_id(tenant), *head) for tenant, head in heads.items())
    copy(EventChain, ("tenant_id", "sequence", "hash"), chains, sizes.tenants)


def event_of(sizes: Sizes, number: int) -> Event:
    """Return event ``number`` as it is stored, without its place in the chain."""
    tenant, place = sizes.owner(number), sizes.place(number)
    subscription = sizes.number(tenant, place % sizes.count(tenant, sizes.subscriptions))
    identifier = tenant_id(tenant)
    return Event(
        id=id_of("evt", number),
        tenant_id=identifier,
        sequence=place + 1,
        type=TYPES[place % len(TYPES)],
        timestamp=moment_of(number, sizes.events),
        actor="dave",
        request_id=f"req-{number:016x}",
        address="192.0.2.7",
        data={
            "id": subscription_id(subscription),
            "tenant_id": identifier,
            "application": f"application-{subscription}",
            "version": place + 1,
        },
    )


def _rows(sizes: Sizes, heads: dict[int, tuple[int, bytes]]) -> Iterator[tuple[object, ...]]:
    """Yield the events, and move the heads of their chains."""
    for number in range(sizes.events):
        event, tenant = event_of(sizes, number), sizes.owner(number)
        _sequence, previous = heads[tenant]
        own = link_hash(previous, event)
        heads[tenant] = (event.sequence, own)
        named = (event.id, event.tenant_id, event.sequence, event.type, event.timestamp)
        by = (event.actor, event.request_id, event.address)
        yield (*named, *by, json.dumps(event.data), "{}", previous, own)
