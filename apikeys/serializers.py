"""How an API key reads and is written in JSON."""

from rest_framework import serializers

from apikeys import examples as sample
from apikeys.models import Mode, Status
from apikeys.services import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS
from stoa_cp.openapi import examples
from stoa_cp.serializers import FlagField, MomentField, StrictSerializer, StringField, WholeNumberField


@examples(response=sample.KEY)
class ApiKeySerializer(StrictSerializer):
    """The whole key; of its secret only the start."""

    id = StringField(read_only=True)
    tenant_id = StringField(read_only=True)
    subscription_id = StringField(read_only=True)
    name = StringField(read_only=True)
    mode = serializers.ChoiceField(choices=Mode.choices, read_only=True)
    start = StringField(read_only=True)
    status = serializers.ChoiceField(choices=Status.choices, read_only=True)
    expires_at = MomentField(read_only=True, allow_null=True)
    previous_valid_until = MomentField(read_only=True, allow_null=True)
    previous_last_used_at = MomentField(read_only=True, allow_null=True)
    last_used_at = MomentField(read_only=True, allow_null=True)
    created_at = MomentField(read_only=True)
    updated_at = MomentField(read_only=True)


@examples(response=sample.ISSUED_KEY)
class IssuedKeySerializer(ApiKeySerializer):
    """The one answer that holds the secret itself."""

    key = StringField(read_only=True)


@examples(request=sample.NEW_KEY)
class NewKeySerializer(StrictSerializer):
    """The body of a creation."""

    subscription_id = StringField(max_length=64)
    name = StringField(max_length=100)
    expires_at = MomentField(required=False, allow_null=True)
    mode = serializers.ChoiceField(choices=Mode.choices, required=False)


@examples(request=sample.ROTATION)
class KeyRotationSerializer(StrictSerializer):
    """The body of a rotation."""

    overlap_seconds = WholeNumberField(
        min_value=0, max_value=MAX_OVERLAP_SECONDS, required=False, default=DEFAULT_OVERLAP_SECONDS
    )
    force = FlagField(required=False, default=False)
