"""The JSON of webhooks and deliveries, in requests and responses."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from stoa_cp.net.urls import MAX_URL_LENGTH
from stoa_cp.openapi.schema import examples
from stoa_cp.rest.serializers import (
    MomentField,
    ShortListField,
    StrictSerializer,
    StringField,
    TargetUrlField,
    WholeNumberField,
)
from webhooks import examples as sample
from webhooks.delivery.signing import BASE64, PREFIX, SecretRefused, parse_secret
from webhooks.event_types import patterns
from webhooks.models import DeliveryStatus, Failure, WebhookStatus
from webhooks.services import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS

PATTERNS = frozenset(patterns())
# In characters. The longest secret has 94: "whsec_" and 64 bytes in base64. More is let through to parse_secret,
# which refuses it with a reason that helps more than the length does.
MAX_SECRET_LENGTH = 200


@extend_schema_field({"type": "string", "format": "uri", "maxLength": MAX_URL_LENGTH})
class WebhookUrlField(TargetUrlField):
    """The URL of a webhook; only its documentation differs from that of other URLs."""


@extend_schema_field({"type": "string", "pattern": f"^({PREFIX})?{BASE64.pattern}$", "maxLength": MAX_SECRET_LENGTH})
class SecretField(StringField):
    """A signing secret that the client chose."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"max_length": MAX_SECRET_LENGTH, "trim_whitespace": False, "write_only": True})

    def to_internal_value(self, data: Any) -> str:
        secret = super().to_internal_value(data)
        try:
            parse_secret(secret)
        except SecretRefused as refusal:
            raise serializers.ValidationError(str(refusal.reason), code="invalid") from refusal
        return secret


@extend_schema_field({"type": "string", "enum": list(patterns())})
class PatternField(StringField):
    """An event's name, a family such as ``subscription.*``, or ``*``. The refusal lists them all."""

    default_error_messages = {"unknown": _("Unknown event; known are: {known}.")}

    def to_internal_value(self, data: Any) -> str:
        pattern = super().to_internal_value(data)
        if pattern not in PATTERNS:
            self.fail("unknown", known=", ".join(patterns()))
        return pattern


@examples(request=sample.WEBHOOK_CHANGES, response=sample.WEBHOOK)
class WebhookSerializer(StrictSerializer):
    """The whole webhook, and the fields of it that PATCH may change."""

    id = StringField(read_only=True)
    tenant_id = StringField(read_only=True)
    url = WebhookUrlField(max_length=None)  # check_url refuses a longer one, with a sentence of its own
    events = ShortListField(child=PatternField(), min_length=1, max_length=len(PATTERNS))
    description = StringField(max_length=500, allow_blank=True, required=False)
    status = serializers.ChoiceField(choices=WebhookStatus.choices, required=False)
    disabled_reason = StringField(read_only=True)
    secret_hint = StringField(read_only=True, help_text=_("How the secret ends, to tell it from others."))
    secret_strength = serializers.SerializerMethodField(help_text=_("“weak” for fewer than 24 bytes."))
    previous_secret_valid_until = MomentField(read_only=True, allow_null=True)
    created_at = MomentField(read_only=True)
    updated_at = MomentField(read_only=True)

    def validate_events(self, events: list[str]) -> list[str]:
        return list(dict.fromkeys(events))

    def get_secret_strength(self, webhook: Any) -> str:
        return "weak" if webhook.secret_is_weak else "strong"


@examples(response=sample.SIGNED_WEBHOOK)
class SignedWebhookSerializer(WebhookSerializer):
    """The webhook in the one answer that shows its secret."""

    secret = StringField(read_only=True)
    warning = StringField(required=False, help_text=_("Only for a weak secret."))


@examples(request=sample.NEW_WEBHOOK)
class NewWebhookSerializer(WebhookSerializer):
    """The body of a creation: the secret is said once, here, and the webhook begins enabled."""

    status = serializers.ChoiceField(choices=WebhookStatus.choices, read_only=True)
    secret = SecretField(required=False, help_text=_("Base64, with or without “whsec_”; one is made if absent."))


@examples(request=sample.ROTATION)
class SecretRotationSerializer(StrictSerializer):
    """The body of a rotation."""

    secret = SecretField(required=False, help_text=_("The new secret; one is made if absent."))
    overlap_seconds = WholeNumberField(min_value=0, max_value=MAX_OVERLAP_SECONDS, default=DEFAULT_OVERLAP_SECONDS)


@examples(request=sample.PERIOD)
class ReplaySerializer(StrictSerializer):
    """The span of time whose events are to be sent again."""

    since = MomentField()
    until = MomentField(required=False, help_text=_("Exclusive; now if absent."))

    def validate(self, period: dict[str, Any]) -> dict[str, Any]:
        # This process's clock, which stamps the events as well.
        period.setdefault("until", timezone.now())
        if period["since"] >= period["until"]:
            refusal = _("This must be before the end of the span.")
            raise serializers.ValidationError({"since": serializers.ErrorDetail(str(refusal), "invalid")})
        return period


class AttemptSerializer(StrictSerializer):
    """One attempt, and the start of what the receiver answered."""

    number = WholeNumberField()
    attempted_at = MomentField()
    duration_ms = WholeNumberField()
    response_status = WholeNumberField(allow_null=True)
    error = serializers.ChoiceField(choices=Failure.choices, allow_blank=True)
    response_excerpt = StringField(allow_blank=True)


@examples(response=sample.DELIVERY)
class DeliverySerializer(StrictSerializer):
    """One event on its way to one webhook, with every attempt."""

    id = StringField()
    event_id = StringField()
    event_type = StringField(source="event.type")
    status = serializers.ChoiceField(choices=DeliveryStatus.choices)
    next_attempt_at = MomentField(allow_null=True)
    created_at = MomentField()
    attempts = AttemptSerializer(many=True)


@examples(response=sample.REPLAYED)
class ReplayedSerializer(StrictSerializer):
    """What a replay set in motion."""

    deliveries = WholeNumberField()


class EventTypeSerializer(StrictSerializer):
    """One published event type, and a body as a webhook receives it."""

    type = StringField(source="name")
    description = StringField()
    example = serializers.JSONField()


@examples(response=sample.CATALOGUE)
class CatalogueSerializer(StrictSerializer):
    """All published event types."""

    items = EventTypeSerializer(many=True)
    total = WholeNumberField()
