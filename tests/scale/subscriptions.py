"""Subscriptions. In 100: two wait for their approval, two were revoked, one has a callback, the others are active."""

from collections.abc import Iterator

from stoa_cp.crypto.encryption import encrypt
from subscriptions.models import Subscription, SubscriptionStatus
from tests.scale.catalog import api_id
from tests.scale.copying import copy
from tests.scale.sizes import Sizes
from tests.scale.tenants import plan_id, tenant_id
from tests.scale.values import id_of, moment_of
from tests.webhooks.factories import SECRET

CALLBACK_URL = "http://127.0.0.1:9/callback"
COLUMNS = (
    "id", "tenant_id", "api_id", "plan_id", "application", "status", "callback_url", "callback_secret",
    "rate_limit", "quota", "created_by", "decided_by", "decided_at", "created_at", "updated_at",
)  # fmt: skip


def subscription_id(number: int) -> str:
    return id_of("sub", number)


def has_callback(number: int) -> bool:
    return number % 100 == 2


def status_of(number: int) -> SubscriptionStatus:
    match number % 50:
        case 0:
            return SubscriptionStatus.PENDING_APPROVAL
        case 1:
            return SubscriptionStatus.REVOKED
        case _:
            return SubscriptionStatus.ACTIVE


def load(sizes: Sizes) -> None:
    copy(Subscription, COLUMNS, _rows(sizes), sizes.subscriptions)


def _rows(sizes: Sizes) -> Iterator[tuple[object, ...]]:
    secret = encrypt(SECRET)
    for number in range(sizes.subscriptions):
        tenant, status = sizes.owner(number), status_of(number)
        callback = (CALLBACK_URL, secret) if has_callback(number) else (None, None)
        moment = moment_of(number, sizes.subscriptions)
        is_decided = status != SubscriptionStatus.PENDING_APPROVAL
        yield (
            subscription_id(number),
            tenant_id(tenant),
            api_id(sizes.api_of(number)),
            plan_id(tenant),
            f"application-{number}",
            status,
            *callback,
            1_000,
            50_000,
            "dave",
            "alice" if is_decided else None,
            moment if is_decided else None,
            moment,
            moment,
        )
