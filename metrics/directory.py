"""Looks up the APIs and subscriptions that a batch names, in one query each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django.utils.translation import gettext_lazy as _

from catalog.models import Api
from stoa_cp.ids import is_id
from subscriptions.models import Subscription

NO_SUCH_API = _("There is no such API.")
NO_SUCH_SUBSCRIPTION = _("The API has no such subscription.")


class KnownApi(NamedTuple):
    """Whose API it is, and until when it was there, in seconds since 1970."""

    tenant_id: str
    until: float


@dataclass(frozen=True, slots=True)
class Directory:
    """What exists of the things that a batch names."""

    apis: Mapping[str, KnownApi]
    api_of_subscription: Mapping[str | None, str]

    def existed_until(self, api_id: str) -> float:
        """Return when the API was deleted, in seconds since 1970: infinity if it was not, 0 if it never was there."""
        return self.apis[api_id].until if api_id in self.apis else 0.0

    def has_subscription(self, api_id: str, subscription_id: str | None) -> bool:
        """Tell whether the subscription is one of the API's, and so of its tenant's; none at all always is."""
        return subscription_id is None or self.api_of_subscription.get(subscription_id) == api_id


def look_up(api_ids: Iterable[str], subscription_ids: Iterable[str | None]) -> Directory:
    """Return what of this exists. Misspelled ids never reach the database."""
    apis = Api.objects.filter(id__in={name for name in api_ids if is_id(name, "api")})
    subscriptions = Subscription.objects.filter(id__in={name for name in subscription_ids if is_id(name, "sub")})
    return Directory(
        apis={
            id_: KnownApi(tenant_id, deleted_at.timestamp() if deleted_at else float("inf"))
            for id_, tenant_id, deleted_at in apis.values_list("id", "tenant_id", "deleted_at")
        },
        api_of_subscription=dict(subscriptions.values_list("id", "api_id")),
    )
