"""The use case of a leak: keys that were found in public are flagged or revoked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apikeys.event_types import KeyEvent
from apikeys.models import KeySecret
from apikeys.services.keys import PREFIXES, lock_key, snapshot
from apikeys.services.revocations import revoke_key
from stoa_cp.crypto.credentials import digests, is_well_formed
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.domain.errors import NotFound
from stoa_cp.eventlog.emit import emit


class LeakPolicy(models.TextChoices):
    """What follows when a key was found in public. ``flag`` leaves the decision to the tenant, which is told."""

    FLAG = "flag", _("Flag")
    REVOKE = "revoke", _("Revoke")


@dataclass(frozen=True, slots=True)
class Leak:
    """A string that was found in public. ``kind`` is the reporter's word for it; ``url`` may be empty."""

    token: str
    kind: str
    url: str
    source: str


def report_leaks(leaks: Sequence[Leak]) -> list[bool]:
    """Flag or revoke each key of which a valid secret was found. Return for each leak whether it is a real secret.

    A secret that is no longer valid is a real one, too: it was a true find, and there is nothing to do.
    """
    secrets = _find_secrets(leaks)
    for leak in leaks:
        if secret := secrets.get(leak.token):
            _report(secret, leak)
    return [leak.token in secrets for leak in leaks]


def _find_secrets(leaks: Sequence[Leak]) -> Mapping[str, KeySecret]:
    # The checksum sorts out what only looks like a key. One query for all: a report may have a thousand entries.
    by_digest = {
        digest: leak.token
        for leak in leaks
        if is_well_formed(leak.token, *PREFIXES.values())
        for digest in digests(leak.token)
    }
    found = KeySecret.objects.filter(digest__in=by_digest).select_related("key")
    return {by_digest[bytes(secret.digest)]: secret for secret in found}


@transaction.atomic
def _report(secret: KeySecret, leak: Leak) -> None:
    """Mark one secret as leaked and announce it, once."""
    try:
        # The same alert may arrive twice at once: the second waits here, then finds the secret marked.
        key = lock_key(secret.key)
    except NotFound:
        return  # revoked already
    if not KeySecret.objects.valid().filter(pk=secret.pk, leaked_at=None).update(leaked_at=Now()):
        return
    key.save()  # for its version only: the ETag must change with what a read shows
    place = {"url": leak.url, "source": leak.source}
    emit(KeyEvent.LEAKED, tenant_id=key.tenant_id, actor=SYSTEM, data=snapshot(key) | place)
    if settings.STOA_LEAK_POLICY == LeakPolicy.REVOKE:
        revoke_key(key, by=SYSTEM)
