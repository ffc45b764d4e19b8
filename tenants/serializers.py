"""Tenants and their events in JSON."""

import re
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from stoa_cp.openapi.schema import examples
from stoa_cp.rest.serializers import (
    FlagField,
    MomentField,
    NumberField,
    StrictSerializer,
    StringField,
    WholeNumberField,
)
from tenants import examples as sample
from tenants.models import (
    MAX_CALLS_PER_HOUR,
    MAX_MULTIPLIER,
    MIN_MULTIPLIER,
    NAME_PATTERN,
    RESERVED_NAMES,
    TenantStatus,
    Tier,
)


class TierField(serializers.ChoiceField):
    """One of the four tiers. The refusal is the specification's sentence."""

    default_error_messages = {"invalid_choice": _("Invalid tier value")}


class TenantSettingsSerializer(StrictSerializer):
    """Limits that the platform sets for one tenant."""

    rate_limit_multiplier = NumberField(min_value=MIN_MULTIPLIER, max_value=MAX_MULTIPLIER, required=False)
    rate_limit_per_hour = WholeNumberField(min_value=1, max_value=MAX_CALLS_PER_HOUR, required=False, allow_null=True)


@examples(request=sample.TENANT_CHANGES, response=sample.TENANT)
class TenantSerializer(StrictSerializer):
    """The whole tenant, and the fields of it that PATCH may change."""

    id = StringField(read_only=True)
    name = StringField(read_only=True)
    tier = TierField(choices=Tier.choices)
    status = serializers.ChoiceField(choices=TenantStatus.choices, read_only=True)
    status_reason = StringField(read_only=True)
    admin_email = serializers.EmailField(max_length=254)
    region = StringField()
    settings = TenantSettingsSerializer(source="*", required=False)
    gateway_url = serializers.URLField(read_only=True)
    created_at = MomentField(read_only=True)
    updated_at = MomentField(read_only=True)

    def validate_region(self, region: str) -> str:
        is_kept = self.instance is not None and region == self.instance.region
        if not is_kept and region not in settings.STOA_REGIONS:
            known = ", ".join(settings.STOA_REGIONS)
            raise serializers.ValidationError(_("Unknown region; known are: %s.") % known, code="invalid_choice")
        return region


class MembershipSerializer(StrictSerializer):
    """A tenant that the caller belongs to, in short."""

    id = StringField(read_only=True)
    name = StringField(read_only=True)
    tier = serializers.ChoiceField(choices=Tier.choices, read_only=True)
    status = serializers.ChoiceField(choices=TenantStatus.choices, read_only=True)


class AllowanceSerializer(StrictSerializer):
    """What is left of the caller's hour; ``reset`` is in epoch seconds."""

    limit = WholeNumberField(read_only=True)
    remaining = WholeNumberField(read_only=True)
    reset = WholeNumberField(read_only=True)


@examples(response=sample.IDENTITY)
class IdentitySerializer(StrictSerializer):
    """The caller, as the service identifies it."""

    subject = StringField(read_only=True)
    roles = serializers.ListField(child=StringField(), read_only=True)
    tenants = MembershipSerializer(many=True, read_only=True)
    tier = serializers.ChoiceField(choices=Tier.choices, read_only=True, allow_null=True)
    rate_limit = AllowanceSerializer(read_only=True)


@examples(request=sample.NEW_TENANT)
class NewTenantSerializer(TenantSerializer):
    """The body of a creation: the name is said once, here."""

    name = StringField(min_length=3, max_length=63)

    def validate_name(self, name: str) -> str:
        if not re.fullmatch(NAME_PATTERN, name, re.ASCII):
            raise serializers.ValidationError(
                _("A name has 3 to 63 lower-case letters, digits and inner hyphens."), code="invalid"
            )
        if name in RESERVED_NAMES or name.startswith("ten-"):
            raise serializers.ValidationError(_("This name is reserved."), code="reserved")
        return name


@examples(response=sample.EVENT)
class EventSerializer(StrictSerializer):
    """One event of the log, and what changed: ``{"tier": ["starter", "business"]}`` is before and after."""

    id = StringField(read_only=True)
    cursor = serializers.CharField(source="sequence", read_only=True)
    type = StringField(read_only=True)
    timestamp = MomentField(read_only=True)
    actor = StringField(read_only=True)
    request_id = StringField(read_only=True)
    # The log's name; DRF's own `data` is the whole answer, and its metaclass keeps the two apart.
    data = serializers.DictField(read_only=True)  # type: ignore[assignment]
    changes = serializers.DictField(child=serializers.ListField(), read_only=True)


class SignedHeadSerializer(StrictSerializer):
    """The hash of a chain's last event, signed with a key that is not in the database; the guide says how to verify."""

    tenant_id = StringField(read_only=True)
    sequence = WholeNumberField(read_only=True)
    hash = StringField(read_only=True)
    at = StringField(read_only=True)  # text: the signature covers it as it is
    key_id = StringField(read_only=True)
    signature = StringField(read_only=True)


class HeadPageSerializer(StrictSerializer):
    """A page of heads, by tenants' ids."""

    items = SignedHeadSerializer(many=True, read_only=True)
    limit = WholeNumberField(read_only=True)
    next_cursor = StringField(read_only=True, allow_null=True)


class AuditKeySerializer(StrictSerializer):
    """A public key (Ed25519, PEM) and its id, the start of its SHA-256."""

    key_id = StringField(read_only=True)
    public_key = StringField(read_only=True)


@examples(response=sample.AUDIT_KEYS)
class AuditKeysSerializer(StrictSerializer):
    """The keys whose heads are verified; the first signs."""

    items = AuditKeySerializer(many=True, read_only=True)


@examples(response=sample.CHAIN)
class ChainSerializer(StrictSerializer):
    """Whether the events ``from`` to ``to`` are as they were written.

    ``head`` is the SHA-256 of the log's last event, ``events`` its number. ``checkpoint`` is the signed head at which
    the verification began.
    """

    intact = FlagField(read_only=True)
    events = WholeNumberField(read_only=True)
    head = StringField(read_only=True)
    first_broken_cursor = serializers.CharField(source="first_broken", read_only=True, allow_null=True)
    to = serializers.CharField(source="last", read_only=True, allow_null=True)
    checkpoint = SignedHeadSerializer(read_only=True, allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # "from" is a keyword of Python, so that it cannot be an attribute of the class.
        return super().get_fields() | {"from": serializers.CharField(source="first", read_only=True, allow_null=True)}
