"""Use cases of an API: create, change, deprecate and delete it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.event_types import ApiEvent
from catalog.models import UPSTREAM_FIELDS, Api, ApiStatus
from stoa_cp.db.bounds import check_below
from stoa_cp.db.changes import apply_changes, as_json
from stoa_cp.db.constraints import Duplicate, translate_violations
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import InvalidField, NotFound
from stoa_cp.eventlog.emit import emit
from stoa_cp.jobs.enqueue import enqueue_on_commit
from tenants.models import Tenant
from tenants.services import lock_tenant

# By name: the task is a door, and a service imports none. It is in catalog/tasks.py.
CHECK_TASK = "catalog.check_upstreams"
# By the name of the violated index. No query asks beforehand: another request could store the same name in between.
DUPLICATES = {
    "api_name_unique": Duplicate(_("An API of this name and version exists already."), field="name"),
    "api_path_unique": Duplicate(_("An API at this path exists already."), field="path"),
}


@dataclass(frozen=True, slots=True)
class NewApi:
    """The fields of an API to be created."""

    name: str
    upstream_url: str
    path: str
    description: str = ""
    api_version: str = "v1"
    auth_required: bool = True
    requests_per_hour: int | None = None
    openapi_url: str = ""
    sandbox_url: str | None = None


@transaction.atomic
def create_api(tenant: Tenant, new: NewApi, *, by: Actor) -> Api:
    """Create an API, which gateways serve from this commit on.

    Raises Duplicate if a live API of the tenant has its name and version, or its path; LimitReached.
    """
    tenant = lock_tenant(tenant)
    check_below(settings.STOA_MAX_APIS_PER_TENANT, tenant.apis.live())
    api = Api(
        tenant=tenant,
        name=new.name,
        description=new.description,
        upstream_url=new.upstream_url,
        sandbox_url=new.sandbox_url,
        path=new.path,
        api_version=new.api_version,
        auth_required=new.auth_required,
        requests_per_hour=new.requests_per_hour,
        openapi_url=new.openapi_url,
    )
    with translate_violations(DUPLICATES):
        api.save(force_insert=True)
    emit(ApiEvent.CREATED, tenant_id=tenant.id, actor=by, data=snapshot(api))
    return api


@transaction.atomic
def update_api(api: Api, fields: Mapping[str, Any], *, by: Actor) -> Api:
    """Change the given fields. No change writes nothing: no version, no event.

    Raises Duplicate as create_api does, InvalidField for a sunset of an API that is not deprecated.
    """
    api = lock_api(api)
    # A deprecation has an event of its own, once: later changes of a deprecated API, its sunset too, are updates.
    was_deprecated = api.status == ApiStatus.DEPRECATED
    changes = apply_changes(api, _with_dates(api, fields))
    if changes:
        if api.upstream_refused_at and not changes.keys().isdisjoint(UPSTREAM_FIELDS):
            # Only a check of both URLs ends the refusal: else a change of one would free the other.
            api.upstream_check_due_at = Now()
            enqueue_on_commit(CHECK_TASK)
        with translate_violations(DUPLICATES):
            api.save()
        is_news = api.status == ApiStatus.DEPRECATED and not was_deprecated
        event = ApiEvent.DEPRECATED if is_news else ApiEvent.UPDATED
        emit(event, tenant_id=api.tenant_id, actor=by, data=snapshot(api), changes=changes)
    return api


def _with_dates(api: Api, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with both dates of a deprecation: set if the API is deprecated after the change, else null."""
    sunset_at: datetime | None = fields.get("sunset_at", api.sunset_at)
    if fields.get("status", api.status) == ApiStatus.DEPRECATED:
        deprecated_at = api.deprecated_at or timezone.now()
        # RFC 9745 §4: the Sunset header must not be earlier than the Deprecation header.
        if sunset_at and sunset_at < deprecated_at:
            raise InvalidField("sunset_at", _("The sunset must not be earlier than the deprecation."))
        return {**fields, "deprecated_at": deprecated_at}
    if sunset_at != api.sunset_at:
        raise InvalidField("sunset_at", _("Only a deprecated API has a sunset."))
    return {**fields, "deprecated_at": None, "sunset_at": None}


@transaction.atomic
def delete_api(api: Api, *, by: Actor) -> None:
    """Delete an API; its name and path are free again. The row stays, for subscriptions, metrics and the event log.

    Doors call ``delete_api_and_subscriptions`` of ``subscriptions``, which refuses while the API is in use: this app
    cannot see subscriptions, which stand to its right.
    """
    api = lock_api(api)
    api.deleted_at = timezone.now()
    api.save()
    emit(ApiEvent.DELETED, tenant_id=api.tenant_id, actor=by, data=snapshot(api))


def lock_api(api: Api) -> Api:
    """Lock a live API until the end of the transaction, and return its row as it is now. Raises NotFound."""
    # Of the API alone: `select_related` would lock the tenant too, and out of order.
    rows = Api.objects.live().select_related("tenant").select_for_update(of=("self",), no_key=True)
    locked = rows.filter(pk=api.pk).first()
    if locked is None:
        raise NotFound
    return locked


def snapshot(api: Api) -> dict[str, Any]:
    """Return the API as events show it, in JSON types: what a GET answers, as it was at that moment."""
    return {
        "id": api.id,
        "tenant_id": api.tenant_id,
        "name": api.name,
        "description": api.description,
        "upstream_url": api.upstream_url,
        "sandbox_url": api.sandbox_url,
        "path": api.path,
        "public_url": api.public_url,
        "api_version": api.api_version,
        "auth_required": api.auth_required,
        "rate_limit": {"requests_per_hour": api.requests_per_hour},
        "openapi_url": api.openapi_url,
        "status": api.status,
        "deprecated_at": as_json(api.deprecated_at),
        "sunset_at": as_json(api.sunset_at),
        "upstream_refused_at": as_json(api.upstream_refused_at),
        "created_at": as_json(api.created_at),
        "version": api.version,
    }
