"""Use cases of a gateway: create it, bind it to networks and tenants, rotate its token, delete it.

Gateways belong to no tenant. Their events go into the log of the platform, which tenants do not see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.event_types import GatewayEvent
from catalog.models import Gateway
from stoa_cp.crypto.credentials import digest, new_credential, pepper_fingerprints
from stoa_cp.db.changes import apply_changes, as_json
from stoa_cp.db.constraints import Duplicate, translate_violations
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import InvalidField, NotFound
from stoa_cp.domain.issued import Issued
from stoa_cp.eventlog.emit import PLATFORM_LOG, emit
from tenants.models import Tenant

TOKEN_PREFIX = "stoa_gtw_"  # noqa: S105 - the public part of a token, by which scanners find a leaked one


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a gateway's token is accepted: from these networks, for these tenants (ids or names). None is all."""

    allowed_ips: Sequence[str] | None = None
    tenants: Sequence[str] | None = None


@transaction.atomic
def create_gateway(name: str, binding: Binding | None = None, *, by: Actor) -> Issued[Gateway]:
    """Create a gateway; its token is shown as ``token``.

    Raises Duplicate if a live one has the name, InvalidField for a tenant that does not exist.
    """
    binding = binding or Binding()
    token = new_credential(TOKEN_PREFIX)
    gateway = Gateway(name=name, token_digest=digest(token), token_pepper=pepper_fingerprints()[0])
    gateway.allowed_ips = binding.allowed_ips and list(binding.allowed_ips)
    gateway.tenants = binding.tenants and _ids_of(binding.tenants, known=())
    with translate_violations(
        {"gateway_name_unique": Duplicate(_("A gateway of this name exists already."), field="name")}
    ):
        gateway.save(force_insert=True)
    emit(GatewayEvent.CREATED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(gateway))
    return Issued(gateway, {"token": token})


@transaction.atomic
def update_gateway(gateway: Gateway, fields: Mapping[str, Any], *, by: Actor) -> Gateway:
    """Change the given fields of the binding. No change writes nothing: no version, no event.

    Raises InvalidField for a tenant that does not exist, NotFound if the gateway is deleted.
    """
    gateway = lock_gateway(gateway)
    fields = dict(fields)
    if fields.get("tenants"):
        fields["tenants"] = _ids_of(fields["tenants"], known=gateway.tenants or ())
    changes = apply_changes(gateway, fields)
    if changes:
        gateway.save()
        emit(GatewayEvent.UPDATED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(gateway), changes=changes)
    return gateway


@transaction.atomic
def rotate_gateway_token(gateway: Gateway, *, by: Actor) -> Issued[Gateway]:
    """Replace the token, shown as ``token``; without an overlap, the old one is refused from this commit on.

    Raises NotFound if the gateway is deleted.
    """
    gateway = lock_gateway(gateway)
    token = new_credential(TOKEN_PREFIX)
    gateway.token_digest, gateway.token_pepper = digest(token), pepper_fingerprints()[0]
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
        "allowed_ips": gateway.allowed_ips,
        "tenants": gateway.tenants,
        "created_at": as_json(gateway.created_at),
        "version": gateway.version,
    }


def lock_gateway(gateway: Gateway) -> Gateway:
    """Lock a live gateway until the end of the transaction, and return its row as it is now. Raises NotFound."""
    locked = Gateway.objects.live().select_for_update(no_key=True).filter(pk=gateway.pk).first()
    if locked is None:
        raise NotFound
    return locked


def _ids_of(ids_or_names: Sequence[str], *, known: Sequence[str]) -> list[str]:
    """Return the ids of the tenants, in order and each once. Raises InvalidField, which names each unknown one.

    ``known`` are ids that the gateway has: a client may send back what it read, also after a tenant was deleted.
    """
    live = Tenant.objects.live().filter(Q(id__in=ids_or_names) | Q(name__in=ids_or_names))
    ids = {name: tenant_id for tenant_id, name in live.values_list("id", "name")}
    ids |= {tenant_id: tenant_id for tenant_id in (*ids.values(), *known)}
    unknown = [text for text in ids_or_names if text not in ids]
    if unknown:
        raise InvalidField("tenants", _("There is no tenant %(tenants)s.") % {"tenants": ", ".join(unknown[:20])})
    return list(dict.fromkeys(ids[text] for text in ids_or_names))
