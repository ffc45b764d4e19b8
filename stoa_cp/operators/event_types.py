"""The types of the events about operators. They are in the platform's own log, and no webhook receives them."""

from enum import StrEnum


class OperatorEvent(StrEnum):
    """What operators do in order to work in the console, and what is done to their accounts."""

    SIGNED_IN = "operator.signed_in"
    SIGN_IN_FAILED = "operator.sign_in_failed"
    SIGNED_OUT = "operator.signed_out"
    SESSION_ENDED = "operator.session_ended"
    CREATED = "operator.created"
    DELETED = "operator.deleted"
    RIGHTS_CHANGED = "operator.rights_changed"
    PASSWORD_CHANGED = "operator.password_changed"  # noqa: S105 - an event's name
    SECRET_SHOWN = "operator.secret_shown"  # noqa: S105 - an event's name
