"""A row together with the secrets that were made for it: the one shape in which services return them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Row = TypeVar("Row")


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
