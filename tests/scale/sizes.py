"""How many rows of each kind are loaded, and which tenant owns which of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from webhooks.services.webhooks import MAX_WEBHOOKS_PER_TENANT

# At part 1.
TENANTS = 1_000
APIS = 100_000
SUBSCRIPTIONS = 1_000_000  # and as many keys
EVENTS = 5_000_000
DELIVERIES = 2_000_000
# The same at every part: these are spans of time, and what one answer shows.
DAYS = 400
REPORTED_APIS = 500
# One in so many rows is of the large tenant, the first. The others have equal shares of the rest.
LARGE_SHARE = 10


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many rows of each kind there are."""

    tenants: int
    apis: int
    subscriptions: int
    events: int
    deliveries: int

    @classmethod
    def of_part(cls, part: float) -> Self:
        """Return the sizes of a part: 1 is all, 0.01 a hundredth. There are at least two tenants."""
        numbers = (APIS, SUBSCRIPTIONS, EVENTS, DELIVERIES)
        return cls(max(2, round(TENANTS * part)), *(round(number * part) for number in numbers))

    def webhooks(self) -> int:
        """Return the number of webhooks: each tenant has as many as it may have."""
        return self.tenants * MAX_WEBHOOKS_PER_TENANT

    def owner(self, number: int) -> int:
        """Return the number of the tenant that owns row ``number`` of a kind.

        The tenants take turns, as they do in a table that has grown: a tenant's rows lie between those of others.
        """
        if number % LARGE_SHARE == 0:
            return 0
        return 1 + self._turn(number) % (self.tenants - 1)

    def place(self, number: int) -> int:
        """Return how many rows of the same tenant precede row ``number``."""
        if number % LARGE_SHARE == 0:
            return number // LARGE_SHARE
        return self._turn(number) // (self.tenants - 1)

    def number(self, tenant: int, place: int) -> int:
        """Return the number of a tenant's row: the inverse of ``owner`` and ``place``."""
        if tenant == 0:
            return place * LARGE_SHARE
        turn = place * (self.tenants - 1) + tenant - 1
        return turn + turn // (LARGE_SHARE - 1) + 1

    def count(self, tenant: int, total: int) -> int:
        """Return how many of ``total`` rows a tenant owns."""
        if tenant == 0:
            return -(-total // LARGE_SHARE)
        others = total - self.count(0, total)
        return max(0, -(-(others - tenant + 1) // (self.tenants - 1)))

    def api_of(self, subscription: int) -> int:
        """Return the number of the API of a subscription: one of the same tenant."""
        tenant = self.owner(subscription)
        return self.number(tenant, self.place(subscription) % self.count(tenant, self.apis))

    def reported_apis(self) -> Iterator[int]:
        """Yield the APIs of the large tenant that have rollups."""
        for place in range(min(REPORTED_APIS, self.count(0, self.apis))):
            yield self.number(0, place)

    @staticmethod
    def _turn(number: int) -> int:
        """Return how many rows before ``number`` are not of the large tenant."""
        return number - number // LARGE_SHARE - 1
