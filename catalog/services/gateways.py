"""Use cases of a gateway: create it, rotate its token, delete it.

Gateways belong to no tenant. Their events go into the log of the platform, which tenants do not see.
"""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.event_types import GatewayEvent
from catalog.models import Gateway
from stoa_cp.crypto.credentials import digest, new_credential
from stoa_cp.db.changes import as_json
from stoa_cp.db.constraints import Duplicate, translate_violations
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import NotFound
from stoa_cp.domain.issued import Issued
from stoa_cp.eventlog.emit import PLATFORM_LOG, emit

TOKEN_PREFIX = "stoa_gtw_"  # noqa: S105 - the public part of a token, by which scanners find a leaked one


@transaction.atomic
def create_gateway(name: str, *, by: Actor) -> Issued[Gateway]:
    """Create a gateway; its token is shown as ``token``. Raises Duplicate if a live one has the name."""
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
    """Replace the token, shown as ``token``; without an overlap, the old one is refused from this commit on.

    Raises NotFound if the gateway is deleted.
    """
    gateway = lock_gateway(gateway)
    token = new_credential(TOKEN_PREFIX)
    gateway.token_digest = digest(token)
    gateway.save()
    emit(GatewayEvent.TOKEN_ROTATED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(gateway))
    return Issued(gateway, {"token": token})


@transaction.atomic
def delete_gateway(gateway: Gateway, *, by: Actor) -> None:
    """Delete a gateway; its token is refused from this commit on. Raises NotFound if it is deleted already."""
    gateway = lock_gateway(gateway)
    gateway.deleted_at = timezone.now()
    gateway.save()
    emit(GatewayEvent.DELETED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(gateway))


def snapshot(gateway: Gateway) -> dict[str, Any]:
    """Return the gateway as events show it, in JSON types: never its token."""
    return {
        "id": gateway.id,
        "name": gateway.name,
        "created_at": as_json(gateway.created_at),
        "version": gateway.version,
    }


def lock_gateway(gateway: Gateway) -> Gateway:
    """Lock a live gateway until the end of the transaction, and return its row as it is now. Raises NotFound."""
    locked = Gateway.objects.live().select_for_update(no_key=True).filter(pk=gateway.pk).first()
    if locked is None:
        raise NotFound
    return locked
