"""A call to decide on, and whether it keeps to what the facts of a key restrict.

``apikeys.decisions.checks`` has the same restrictions in SQL: the statement counts a call only where they let it pass.
Here they are for cached facts. ``tests/apikeys/test_restrictions.py`` compares the two.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from apikeys.decisions.statement import Facts
from apikeys.models import Mode
from catalog.routing import RequestTarget
from stoa_cp.crypto.credentials import digests
from stoa_cp.net.client_address import Address


def unknown_address() -> None:
    """Stand for the address of a call whose gateway does not report it."""


# Not frozen, although nothing changes it: a frozen one sets each field by a function call.
@dataclass(eq=False)
class Call:
    """A call to decide on: whose key it sends (None: anonymous), where it goes, by which method and from where.

    It goes to a target, to the API of an id, or, with neither, to the API that the key was issued for. ``cost`` is how
    many calls it counts as; 0 counts nothing, and passes where a call of cost 1 would. Without a method, an address or
    a target it is refused where the key restricts these.
    """

    key: str | None = field(repr=False)  # a secret
    target: RequestTarget | None = None
    api_id: str | None = None
    cost: int = 1
    method: str = ""
    # A function, because few keys restrict the address, and reading it takes a tenth of a cached decision.
    read_address: Callable[[], Address | None] = field(default=unknown_address, repr=False)
    # The tenants (ids) that the gateway serves; None: all. For it, the others do not exist.
    tenants: frozenset[str] | None = None
    # Whether the gateway sends the call where the answer says. One that has its upstreams in a file would send the call
    # of a test key to the live one.
    follows_upstream: bool = True

    @cached_property
    def key_digests(self) -> list[bytes]:
        """The key's digest under each pepper; empty without a key. Computed once, for the fast path and the view."""
        return digests(self.key) if self.key else []

    @property
    def methods(self) -> list[str]:
        """The methods of which the key must allow one: a key that allows GET allows HEAD (RFC 9110 §9.3.2)."""
        return ["HEAD", "GET"] if self.method == "HEAD" else [self.method]

    def keeps_to(self, facts: Facts) -> bool:
        """Return True if the key may be used from this call's address, by its method and at its path.

        And if the gateway serves the tenant, and leads to the sandbox if the key does.
        """
        return (
            (self.tenants is None or facts.tenant_id in self.tenants)
            and (self.follows_upstream or facts.mode != Mode.TEST)
            and (facts.allowed_ips is None or self._is_from(facts))
            and (facts.allowed_methods is None or not set(facts.allowed_methods).isdisjoint(self.methods))
            and (facts.allowed_paths is None or self._is_below(facts.api_path, facts.allowed_paths))
        )

    def _is_from(self, facts: Facts) -> bool:
        address = self.read_address()
        return address is not None and any(address in network for network in facts.allowed_ips or ())

    def _is_below(self, api_path: str, allowed_paths: list[str]) -> bool:
        """Compare whole segments: /refunds is no prefix of /refunds-all. Reading the target has normalised its path."""
        if self.target is None:
            return False
        path, api = f"{self.target.path}/", api_path.rstrip("/")
        return any(path.startswith(f"{api}{allowed.rstrip('/')}/") for allowed in allowed_paths)
