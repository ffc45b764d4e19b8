"""The requests of gateways for decisions, and decisions in JSON."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apikeys import examples as sample
from apikeys.decisions.reasons import Reason
from apikeys.models import Mode
from catalog.routing import MAX_TARGET_CHARS
from stoa_cp.net.client_address import Address, parse_address
from stoa_cp.openapi.schema import examples
from stoa_cp.rest.serializers import MomentField, StrictSerializer, StringField, WholeNumberField

# Far longer than any key: a string that a client sends for a key is decided on as a key, and answered key_malformed.
MAX_KEY_CHARS = 4096
# Far more than one call can be worth. Costs are added to a bigint, which takes 9 × 10^12 of them.
MAX_COST = 1_000_000
MAX_METHOD_CHARS = 32


class AddressField(StringField):
    """The IP address that a call comes from."""

    default_error_messages = {"not_an_address": _("This is no IP address.")}

    def to_internal_value(self, data: Any) -> Address:  # type: ignore[override]  # StringField's own is a text
        address = parse_address(super().to_internal_value(data))
        if address is None:
            self.fail("not_an_address")
        return address


@examples(request=sample.VERIFICATION)
class VerificationRequestSerializer(StrictSerializer):
    """The body of a verification."""

    # Blank or with spaces: the answer says what is wrong with the key; it is no error in the request.
    key = StringField(max_length=MAX_KEY_CHARS, allow_blank=True, trim_whitespace=False)
    api_id = StringField(max_length=64, required=False, default=None, allow_null=True)
    path = StringField(
        max_length=MAX_TARGET_CHARS, required=False, default=None, allow_null=True, trim_whitespace=False
    )
    method = StringField(max_length=MAX_METHOD_CHARS, required=False)
    address = AddressField(required=False)
    cost = WholeNumberField(min_value=0, max_value=MAX_COST, required=False, default=1)


class HourlyLimitSerializer(serializers.Serializer[Any]):
    """The clock hour; null is unlimited."""

    limit = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField(allow_null=True)
    reset = serializers.IntegerField(help_text="When the next hour begins, in seconds since 1970.")


class MonthlyQuotaSerializer(serializers.Serializer[Any]):
    """The calendar month, UTC; null is unlimited."""

    limit = serializers.IntegerField(allow_null=True)
    used = serializers.IntegerField()
    remaining = serializers.IntegerField(allow_null=True)
    resets_at = MomentField()


@examples(response=sample.VERIFIED)
class VerificationSerializer(serializers.Serializer[Any]):
    """What came of a verification; null is what is not known of the key."""

    valid = serializers.BooleanField()
    code = serializers.ChoiceField(choices=[("valid", "valid"), *((reason, reason) for reason in Reason.values)])
    key_id = serializers.CharField(allow_null=True)
    subscription_id = serializers.CharField(allow_null=True)
    api_id = serializers.CharField(allow_null=True)
    tenant_id = serializers.CharField(allow_null=True)
    application = serializers.CharField(allow_null=True)
    plan = serializers.CharField(allow_null=True)
    mode = serializers.ChoiceField(choices=Mode.choices, allow_null=True)
    rate_limit = HourlyLimitSerializer(allow_null=True)
    quota = MonthlyQuotaSerializer(allow_null=True)
    expires_at = MomentField(allow_null=True)
    rotating = serializers.BooleanField()


@examples(request=sample.EXPLANATION)
class ExplanationRequestSerializer(StrictSerializer):
    """The body of an explanation: a key or the id of one, or neither for a call without."""

    key = StringField(max_length=MAX_KEY_CHARS, required=False, allow_blank=True, trim_whitespace=False)
    key_id = StringField(max_length=64, required=False)
    method = StringField(max_length=MAX_METHOD_CHARS, required=False)
    address = AddressField(required=False)
    path = StringField(max_length=MAX_TARGET_CHARS, trim_whitespace=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "key" in attrs and "key_id" in attrs:
            raise serializers.ValidationError({"key_id": _("Name the key once: by itself or by its id.")})
        return attrs


class CheckSerializer(serializers.Serializer[Any]):
    """One check of a decision."""

    check = serializers.CharField()
    passed = serializers.BooleanField()
    detail = serializers.CharField(allow_blank=True)


@examples(response=sample.EXPLAINED)
class ExplanationSerializer(serializers.Serializer[Any]):
    """What would be decided, and every check on the way there."""

    decision = serializers.ChoiceField(choices=[("allow", "allow"), ("deny", "deny")])
    reason = serializers.ChoiceField(choices=[(reason, reason) for reason in Reason.values], allow_null=True)
    checks = CheckSerializer(many=True)
