"""Model fields that several apps need."""

from collections.abc import Sequence
from typing import Any

from django.db import models


class VersionField(models.PositiveIntegerField):  # type: ignore[type-arg]  # Django's own class takes no parameters
    """Counts the saves of a row, as ``auto_now`` dates them: 1 at creation, one more each time. It is the ETag."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs |= {"default": 0, "editable": False}
        super().__init__(**kwargs)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        for implied in ("default", "editable"):
            kwargs.pop(implied, None)
        return name, path, args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> int:  # noqa: FBT001 - Django's signature
        version: int = getattr(model_instance, self.attname) + 1
        setattr(model_instance, self.attname, version)
        return version
