"""A row together with the secrets that were made for it: the one shape in which services return them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Row = TypeVar("Row")

# The public part of a secret, by which people and scanners tell its kind: stoa_live_, stoa_gtw_, whsec_.
KIND_AND_REST = re.compile(r"((?:[a-z]+_)*).*", re.ASCII | re.DOTALL)
# With an underscore, which no random part has: neither we nor a scanner takes it for a secret.
PLACEHOLDER = "not_issued"


@dataclass(frozen=True, slots=True)
class Issued(Generic[Row]):
    """A row and its new secrets, by the JSON member that shows each: ``{"api_key": "stoa_live_…"}``.

    A secret is shown in the one answer that issues it and is never readable again. It is left out of ``repr``, so that
    no log line and no traceback holds it.
    """

    resource: Row
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def secret(self) -> str:
        """The only secret. Raises ValueError if there is none, or more than one."""
        (secret,) = self.secrets.values()
        return secret

    def without_secrets(self) -> "Issued[Row]":
        """Return the same with placeholders such as ``stoa_live_not_issued``: the answer to a dry run.

        The secrets themselves look valid, and never will be: the row is rolled back.
        """
        shown = {name: KIND_AND_REST.sub(rf"\1{PLACEHOLDER}", secret, count=1) for name, secret in self.secrets.items()}
        return Issued(self.resource, shown)
