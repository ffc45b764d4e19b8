"""The names of actors, for people who read the log: stored after an actor's first event, found by the actor's id."""

from functools import lru_cache, partial

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery

from stoa_cp.domain.actors import Actor
from stoa_cp.eventlog.models import ActorName

# Bounds the cache of a process. It has one entry per person that has changed something: a forgotten one costs one
# statement more.
MAX_KNOWN = 10_000


def store_name_on_commit(actor: Actor) -> None:
    """Store the actor's name after the commit, if it has one."""
    # After the commit, not in the transaction: the row would stay locked until then, and all changes by one actor would
    # wait for each other. ``robust``: the change is committed, and a name that is not stored must not be its error.
    if actor.name:
        transaction.on_commit(partial(store_name, actor.id, actor.name), robust=True)


def named(field: str) -> Subquery:
    """Return the name of the actor whose id ``field`` holds, to annotate a queryset; NULL if it is unknown."""
    names: QuerySet[ActorName] = ActorName.objects.filter(id=OuterRef(field))
    return Subquery(names.values("name"))


# Cached, so that an actor costs one statement per process, and not one per event. A name that changes is stored with
# the person's next event.
@lru_cache(maxsize=MAX_KNOWN)
def store_name(actor_id: str, name: str) -> None:
    """Store an actor's name, or overwrite it."""
    row = ActorName(id=actor_id, name=name)
    ActorName.objects.bulk_create([row], update_conflicts=True, unique_fields=["id"], update_fields=["name"])
