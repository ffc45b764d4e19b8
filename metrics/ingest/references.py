"""Looks up the APIs and subscriptions that a batch refers to, in one query."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from stoa_cp.db.ids import is_id
from stoa_cp.db.prepared import fetch_all

NO_SUCH_API = _("There is no such API.")
NO_SUCH_SUBSCRIPTION = _("The API has no such subscription.")

# Deleted APIs and ended subscriptions are found too: a late report of an earlier call still counts.
FIND_REFERENCES = """
SELECT id, tenant_id, deleted_at
FROM catalog_api WHERE id = ANY(%(api_ids)b::text[]) AND COALESCE(tenant_id = ANY(%(tenants)b::text[]), true)
UNION ALL
SELECT id, api_id, NULL::timestamptz
FROM subscriptions_subscription WHERE id = ANY(%(subscription_ids)b::text[])
"""


@dataclass(frozen=True, slots=True)
class KnownReferences:
    """The APIs and subscriptions of a batch that exist.

    ``owners`` maps an API's id to its tenant's, and a subscription's id to its API's. One mapping is enough: the
    prefix of an id (``api-``, ``sub-``) tells what it is.
    """

    owners: Mapping[str, str]
    deleted_at: Mapping[str, datetime]

    def existed_until(self, api_id: str) -> float:
        """Return when the API was deleted, in seconds since 1970: infinity if it exists, 0 if it never existed."""
        if api_id in self.deleted_at:
            return self.deleted_at[api_id].timestamp()
        return float("inf") if api_id in self.owners else 0.0

    def has_subscription(self, api_id: str, subscription_id: str | None) -> bool:
        """Tell whether the API has this subscription. None is a call without a key, which any API may have."""
        return subscription_id is None or self.owners.get(subscription_id) == api_id


def load_references(
    api_ids: Iterable[str], subscription_ids: Iterable[str | None], tenants: Collection[str] | None = None
) -> KnownReferences:
    """Return which of these APIs and subscriptions exist, of ``tenants`` only if these are given."""
    # A malformed id cannot exist. It is left out because PostgreSQL would refuse some of them (NUL, surrogates), and
    # with them the whole batch.
    wanted = {
        "api_ids": [id_ for id_ in api_ids if is_id(id_, "api")],
        "tenants": None if tenants is None else list(tenants),
        "subscription_ids": [id_ for id_ in subscription_ids if is_id(id_, "sub")],
    }
    rows = fetch_all(FIND_REFERENCES, wanted)
    return KnownReferences(
        owners={id_: owner_id for id_, owner_id, _deleted_at in rows},
        deleted_at={id_: deleted_at for id_, _owner_id, deleted_at in rows if deleted_at},
    )
