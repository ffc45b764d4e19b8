"""Refusals that a caller can understand. No HTTP status here: ``stoa_cp.rest.problems`` alone knows those."""

from typing import ClassVar

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ErrorCode(models.TextChoices):
    """The seven codes of the specification. The label is the specification's sentence for it."""

    VALIDATION_ERROR = "validation_error", _("Invalid request parameters")
    UNAUTHORIZED = "unauthorized", _("Missing or invalid token")
    FORBIDDEN = "forbidden", _("Insufficient permissions")
    NOT_FOUND = "not_found", _("Resource not found")
    CONFLICT = "conflict", _("The resource already exists")
    RATE_LIMITED = "rate_limited", _("Too many requests")
    INTERNAL_ERROR = "internal_error", _("Server error")


class DomainError(Exception):
    """A refusal. Subclasses are named for what they say: ``KeyExpired``, not ``KeyExpiredError``.

    ``code`` is one of the seven; ``detail_code`` names the case; ``message`` is a sentence for the caller.
    ``retry_after_seconds`` is set where the same request may succeed that much later.
    """

    code: ClassVar[ErrorCode] = ErrorCode.CONFLICT
    detail_code: str = ""
    message: str | Promise = ""
    retry_after_seconds: int | None = None

    def __init__(self, message: str | Promise = "", *, field: str = "") -> None:
        super().__init__(str(message or self.message))
        self.message = message or self.message
        self.field = field


class InvalidField(DomainError):
    """One field of the request holds a value that is not allowed."""

    code = ErrorCode.VALIDATION_ERROR
    detail_code = "invalid"

    def __init__(self, field: str, message: str | Promise, *, code: str = "invalid") -> None:
        super().__init__(message, field=field)
        self.detail_code = code


class NotFound(DomainError):
    """The object does not exist, or this caller may not know that it exists."""

    code = ErrorCode.NOT_FOUND


class WrongState(DomainError):
    """The request would be right if the object were in another state."""

    detail_code = "wrong_state"
