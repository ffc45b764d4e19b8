"""Model fields that several apps need."""

from collections.abc import Sequence
from typing import Any

from django.db import models


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
