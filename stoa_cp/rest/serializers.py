"""Strict serializers: JSON types are not converted, unknown fields are refused, read-only fields are not overwritten.

DRF's own fields accept ``"12"`` for a number and ``"yes"`` for true, and ignore unknown fields, so that a misspelled
field would look as if it had been set.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from stoa_cp.net.cidrs import normalise_cidr
from stoa_cp.net.targets import check_url
from stoa_cp.net.urls import MAX_URL_LENGTH, UrlRefused


class StringField(serializers.CharField):
    """A JSON string; 12 is not "12"."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class TargetUrlField(StringField):
    """A URL that we will send requests to. A new one is resolved, which takes up to 2 s.

    Body parsing is the place for that: no transaction is open yet. Each send checks the URL again.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": MAX_URL_LENGTH, "trim_whitespace": False} | kwargs)

    def run_validators(self, value: Any) -> None:
        super().run_validators(value)
        stored = getattr(getattr(self.parent, "instance", None), self.source or "", None)
        if value == stored:
            return  # it was checked when it was new; clients may send back what they read
        try:
            check_url(value)
        except UrlRefused as refusal:
            raise serializers.ValidationError(str(refusal.reason), code="invalid") from refusal


class WholeNumberField(serializers.IntegerField):
    """A JSON integer; "12", 12.0 and true are not."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class NumberField(serializers.FloatField):
    """A JSON number, whole or not."""

    def to_internal_value(self, data: Any) -> float:
        if not isinstance(data, int | float) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    """``true`` or ``false``; ``"true"`` and 1 are not."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=str(data)[:50])
        return data


class MomentField(serializers.DateTimeField):
    """An RFC 3339 time. Comes in with an offset, goes out in UTC with ``Z`` and whole seconds."""

    default_error_messages = {
        "no_offset": _("The time needs an offset from UTC, such as Z or +02:00."),
    }

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="RFC 3339")
        moment = super().to_internal_value(value)
        if not value.endswith(("Z", "z")) and not _has_offset(value):
            self.fail("no_offset")
        return moment.replace(microsecond=0)  # answers show whole seconds, and must show what is stored

    def to_representation(self, value: datetime) -> str:
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _has_offset(value: str) -> bool:
    return "+" in value[10:] or "-" in value[10:]


class ShortListField(serializers.ListField):
    """A list of distinct values. Its length is checked before its members: a body could hold 200,000 wrong ones."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        members: list[Any] = super().to_internal_value(data)
        return list(dict.fromkeys(members))


class CidrField(StringField):
    """A network in CIDR notation, or an address; it comes out in one spelling."""

    default_error_messages = {"not_a_network": _("This is no network such as 198.51.100.0/24 or 2001:db8::/32.")}

    def to_internal_value(self, data: Any) -> str:
        network = normalise_cidr(super().to_internal_value(data))
        if network is None:
            self.fail("not_a_network")
        return network


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses unknown fields and changed read-only fields.

    Read-only fields with their present value are ignored, so that a client may read, modify and send back an object.
    """

    default_error_messages = {
        "unknown_field": _("This field does not exist."),
        "read_only": _("This field cannot be changed."),
    }

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            errors = self._refused(data)
            if errors:
                raise serializers.ValidationError(errors)
        return super().to_internal_value(data)

    def _refused(self, data: Mapping[str, Any]) -> dict[str, list[serializers.ErrorDetail]]:
        errors = {}
        for name in data:
            field = self.fields.get(str(name))
            if field is None:
                errors[str(name)[:100]] = [self._error("unknown_field")]
            elif field.read_only and not self._is_echo(field, data[name]):
                errors[name] = [self._error("read_only")]
        return errors

    def _is_echo(self, field: serializers.Field[Any, Any, Any, Any], value: Any) -> bool:
        if self.instance is None:
            return False
        current = field.get_attribute(self.instance)
        return bool(value == (None if current is None else field.to_representation(current)))

    def _error(self, code: str) -> serializers.ErrorDetail:
        return serializers.ErrorDetail(str(self.error_messages[code]), code)


class NothingSerializer(StrictSerializer):
    """The body of an action that needs none. Any field is refused, because it would have no effect."""


class ReasonSerializer(StrictSerializer):
    """The reason of a decision."""

    reason = StringField(max_length=500, required=False, default="", allow_blank=True)
