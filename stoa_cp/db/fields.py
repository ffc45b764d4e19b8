"""Model fields that several apps need."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class NetworkField(models.Field):  # type: ignore[type-arg]  # Django's own class takes no parameters
    """A network such as ``10.0.0.0/8`` in a column of type ``cidr``, which holds no invalid one. Python reads text.

    For columns that SQL compares with an address. A text column would have to be cast at each comparison, and one
    invalid value would fail the whole statement.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "cidr"

    def from_db_value(self, value: str | None, _expression: object, _connection: BaseDatabaseWrapper) -> str | None:
        # In Python's spelling, which is the one that was stored: PostgreSQL writes ::1.2.3.4/128 for ::102:304/128.
        return None if value is None else str(ip_network(value))


class VersionField(models.PositiveIntegerField):  # type: ignore[type-arg]  # Django's own class takes no parameters
    """Counts the saves of a row: 1 at creation, one more with each save. It is the number in the ETag.

    Like ``auto_now``, it changes in ``save()`` only. ``QuerySet.update`` leaves it, so use that only for columns that
    the representation does not show.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs |= {"default": 0, "editable": False}
        super().__init__(**kwargs)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        for implied in ("default", "editable"):  # __init__ sets them: migrations need not repeat them
            kwargs.pop(implied, None)
        return name, path, args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> int:  # noqa: FBT001 - Django's signature
        version: int = getattr(model_instance, self.attname) + 1
        setattr(model_instance, self.attname, version)
        return version
