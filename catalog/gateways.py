"""The life of a gateway's credential: issued, rotated, withdrawn, presented."""

from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.event_types import GatewayEvent
from catalog.models import Gateway
from stoa_cp.caching.cache import Cache
from stoa_cp.crypto.credentials import digest, digests, is_well_formed, new_credential
from stoa_cp.db.changes import as_json
from stoa_cp.db.constraints import Duplicate, translate_violations
from stoa_cp.db.prepared import fetch_one
from stoa_cp.domain.actors import GATEWAY, Actor
from stoa_cp.domain.errors import NotFound
from stoa_cp.domain.issued import Issued
from stoa_cp.eventlog.emit import PLATFORM_LOG, emit

TOKEN_PREFIX = "stoa_gtw_"  # noqa: S105 - the part that is no secret
# Every call of every consumer asks this. One write a minute per gateway, however many calls it makes.
FIND = """
SELECT id, COALESCE(last_seen_at <= statement_timestamp() - interval '60 s', true)
FROM catalog_gateway
WHERE token_digest = ANY(%(digests)s::bytea[]) AND deleted_at IS NULL
"""

gateway_cache: Cache[tuple[bytes, ...], Actor] = Cache()  # by the token's digests; listed in the settings


@transaction.atomic
def register_gateway(name: str, *, by: Actor) -> Issued[Gateway]:
    """Register a gateway; its token is shown as ``token``. Raises Duplicate."""
    token = new_credential(TOKEN_PREFIX)
    gateway = Gateway(name=name, token_digest=digest(token))
    with translate_violations(
        {"gateway_name_unique": Duplicate(_("A gateway of this name exists already."), field="name")}
    ):
        gateway.save(force_insert=True)
    emit(GatewayEvent.CREATED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(gateway))
    return Issued(gateway, {"token": token})


@transaction.atomic
def rotate_gateway_token(gateway: Gateway, *, by: Actor) -> Issued[Gateway]:
    """Replace the token at once; the old one is refused from now on. Raises NotFound."""
    gateway = lock_gateway(gateway.id)
    token = new_credential(TOKEN_PREFIX)
    gateway.token_digest = digest(token)
    gateway.save()
    emit(GatewayEvent.TOKEN_ROTATED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(gateway))
    return Issued(gateway, {"token": token})


@transaction.atomic
def delete_gateway(gateway: Gateway, *, by: Actor) -> None:
    """Withdraw a gateway; its token is refused from now on. Raises NotFound."""
    gateway = lock_gateway(gateway.id)
    gateway.deleted_at = timezone.now()
    gateway.save()
    emit(GatewayEvent.DELETED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(gateway))


def snapshot(gateway: Gateway) -> dict[str, Any]:
    """Return the gateway as events show it: never its token."""
    return {
        "id": gateway.id,
        "name": gateway.name,
        "created_at": as_json(gateway.created_at),
        "version": gateway.version,
    }


def lock_gateway(gateway_id: str) -> Gateway:
    """Lock a live gateway until the end of the transaction. Raises NotFound."""
    gateway = Gateway.objects.live().select_for_update(no_key=True).filter(id=gateway_id).first()
    if gateway is None:
        raise NotFound
    return gateway


def cached_gateway(token: str) -> Actor | None:
    """Return the gateway that presents ``token``, if this process may remember it."""
    return gateway_cache.get(tuple(digests(token)))


def find_gateway(token: str) -> Actor | None:
    """Return the gateway that presents ``token`` as an actor; None if the token is none of ours."""
    if not is_well_formed(token, TOKEN_PREFIX):
        return None
    known = digests(token)
    with gateway_cache.loading(tuple(known)) as keep:
        found = fetch_one(FIND, {"digests": known})
        if found is None:
            return None
        gateway_id, is_use_unrecorded = found
        gateway = Actor(id=gateway_id, roles=frozenset({GATEWAY}))
        keep(gateway, gateway_id)
    if is_use_unrecorded:
        Gateway.objects.filter(pk=gateway_id).update(last_seen_at=Now())
    return gateway
