"""Checks again where the hosts of upstreams lead: a name can be pointed to another address after its registration.

The rows of APIs are the queue. A claim sets ``upstream_check_due_at`` to the next time: that is the lease, too. The
check of a worker that dies is made at that time by another one.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from catalog.event_types import ApiEvent
from catalog.models import UPSTREAM_FIELDS, Api
from catalog.services.apis import lock_api, snapshot
from catalog.upstreams import Judgement, judge_upstreams
from stoa_cp.db.changes import apply_changes
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.domain.errors import NotFound
from stoa_cp.eventlog.emit import emit
from stoa_cp.net.egress import count_lookups
from tenants.services import lock_tenant

# Five minutes are promised between two checks. The sweep that finds what is due runs every 30 s.
CHECK_INTERVAL = timedelta(minutes=4, seconds=30)
# A batch is resolved at once, in a thread for each host, and takes 2 s at most.
BATCH = 32
# A name server that does not answer keeps a thread for as long as the system's resolver waits, 10 s or longer. Tenants
# choose the names, so that without a bound they would choose the number of threads.
MAX_LOOKUPS = 128


def check_due_upstreams() -> int:
    """Check the APIs that are due, and return how many were checked."""
    count = 0
    while count_lookups() < MAX_LOOKUPS and (claimed := claim_due_apis()):
        urls = {url for api in claimed for url in upstreams_of(api)}
        judgements = judge_upstreams(urls)  # up to 2 s, with no transaction open
        for api in claimed:
            # Nearly always nothing changes, and no lock is needed to see that.
            if refused_at_after(api, judgements) != api.upstream_refused_at:
                settle_check(api, judgements)
        count += len(claimed)
    return count


@transaction.atomic
def claim_due_apis() -> list[Api]:
    """Take up to 32 APIs whose check is due, the longest due first; each is due again after ``CHECK_INTERVAL``."""
    # Not those that are locked: a change of the API is under way, and the next sweep finds them.
    due = Api.objects.live().filter(tenant__deleted_at=None, upstream_check_due_at__lte=Now())
    locked = due.order_by("upstream_check_due_at", "id").select_for_update(of=("self",), skip_locked=True, no_key=True)
    ids = [api.id for api in locked[:BATCH]]
    # A queryset's update: what is only due again gets no new version, and the caches are not told.
    Api.objects.filter(id__in=ids).update(upstream_check_due_at=Now() + CHECK_INTERVAL)
    return list(Api.objects.filter(id__in=ids).select_related("tenant"))


@transaction.atomic
def settle_check(claimed: Api, judgements: Mapping[str, Judgement]) -> None:
    """Store the result of a check, and announce it if it differs from the last one.

    Does nothing if the API was moved, deleted or claimed again since the claim: the result is about something else.
    """
    try:
        lock_tenant(claimed.tenant)  # or an event could follow the deletion of the tenant
        api = lock_api(claimed)
    except NotFound:
        return
    if api.upstream_check_due_at != claimed.upstream_check_due_at or upstreams_of(api) != upstreams_of(claimed):
        return
    changes = apply_changes(api, {"upstream_refused_at": refused_at_after(api, judgements)})
    if changes:
        api.save()
        event = ApiEvent.UPSTREAM_REFUSED if api.upstream_refused_at else ApiEvent.UPSTREAM_ACCEPTED
        emit(event, tenant_id=api.tenant_id, actor=SYSTEM, data=snapshot(api), changes=changes)


def refused_at_after(api: Api, judgements: Mapping[str, Judgement]) -> datetime | None:
    """Return since when the API is refused, now that its URLs are judged. A host without an address changes nothing."""
    urls = upstreams_of(api)
    if any(judgements.get(url) for url in urls):
        return api.upstream_refused_at or timezone.now()
    return None if urls <= judgements.keys() else api.upstream_refused_at


def upstreams_of(api: Api) -> set[str]:
    """Return the URLs to which gateways send the API's calls."""
    return {url for name in UPSTREAM_FIELDS if (url := getattr(api, name))}
