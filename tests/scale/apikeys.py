"""A key for each subscription, with a secret that verifies. In 100: one rotates, one has expired, one was revoked."""

from collections.abc import Iterator
from datetime import timedelta

from apikeys.models import ApiKey, KeySecret
from apikeys.services.keys import shown_start
from stoa_cp.crypto.credentials import digest, pepper_fingerprints
from tests.scale.copying import copy
from tests.scale.sizes import Sizes
from tests.scale.subscriptions import subscription_id
from tests.scale.tenants import tenant_id
from tests.scale.values import NOW, credential_of, id_of, moment_of

DAY = timedelta(days=1)
ROTATING, EXPIRED, REVOKED = 33, 44, 55  # the number of a key modulo 100


def key_id(number: int) -> str:
    return id_of("key", number)


def load(sizes: Sizes) -> None:
    columns = (
        "id", "tenant_id", "subscription_id", "name", "start", "expires_at", "revoked_at", "created_at", "updated_at",
    )  # fmt: skip
    copy(ApiKey, columns, _keys(sizes), sizes.subscriptions)
    columns = ("key_id", "digest", "pepper", "valid_until", "created_at")
    copy(KeySecret, columns, _secrets(sizes), sizes.subscriptions * 101 // 100)


def _keys(sizes: Sizes) -> Iterator[tuple[object, ...]]:
    for number in range(sizes.subscriptions):
        moment = moment_of(number, sizes.subscriptions)
        yield (
            key_id(number),
            tenant_id(sizes.owner(number)),
            subscription_id(number),
            "Default",
            shown_start(credential_of(number)),
            NOW - DAY if number % 100 == EXPIRED else None,
            NOW - DAY if number % 100 == REVOKED else None,
            moment,
            moment,
        )


def _secrets(sizes: Sizes) -> Iterator[tuple[object, ...]]:
    (pepper, *_older) = pepper_fingerprints()
    for number in range(sizes.subscriptions):
        moment = moment_of(number, sizes.subscriptions)
        yield key_id(number), digest(credential_of(number)), pepper, None, moment
        if number % 100 == ROTATING:
            yield key_id(number), digest(credential_of(-number)), pepper, NOW + DAY, moment
