"""Looks up the APIs and subscriptions that a batch names, in one query."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from stoa_cp.db.ids import is_id
from stoa_cp.db.prepared import fetch_all

NO_SUCH_API = _("There is no such API.")
NO_SUCH_SUBSCRIPTION = _("The API has no such subscription.")

LOOK_UP = """
SELECT id, tenant_id, deleted_at
FROM catalog_api WHERE id = ANY(%(api_ids)b::text[])
UNION ALL
SELECT id, api_id, NULL::timestamptz
FROM subscriptions_subscription WHERE id = ANY(%(subscription_ids)b::text[])
"""


@dataclass(frozen=True, slots=True)
class KnownReferences:
    """What exists of the things that a batch names.

    ``owners`` has the tenant of each API and the API of each subscription, by ids, which tell the two apart.
    """

    owners: Mapping[str, str]
    deleted_at: Mapping[str, datetime]

    def existed_until(self, api_id: str) -> float:
        """Return when the API was deleted, in seconds since 1970: infinity if it was not, 0 if it never was there."""
        if api_id in self.deleted_at:
            return self.deleted_at[api_id].timestamp()
        return float("inf") if api_id in self.owners else 0.0

    def has_subscription(self, api_id: str, subscription_id: str | None) -> bool:
        """Tell whether the subscription is one of the API's, and so of its tenant's; none at all always is."""
        return subscription_id is None or self.owners.get(subscription_id) == api_id


def look_up(api_ids: Iterable[str], subscription_ids: Iterable[str | None]) -> KnownReferences:
    """Return what of this exists. Misspelled ids never reach the database."""
    named = {
        "api_ids": [name for name in api_ids if is_id(name, "api")],
        "subscription_ids": [name for name in subscription_ids if is_id(name, "sub")],
    }
    rows = fetch_all(LOOK_UP, named)
    return KnownReferences(
        owners={id_: owner_id for id_, owner_id, _deleted_at in rows},
        deleted_at={id_: deleted_at for id_, _owner_id, deleted_at in rows if deleted_at},
    )
