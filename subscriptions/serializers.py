"""How plans and subscriptions read and are written in JSON."""

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from catalog.serializers import MAX_REQUESTS_PER_HOUR
from stoa_cp.openapi.schema import examples
from stoa_cp.rest.serializers import (
    FlagField,
    MomentField,
    StrictSerializer,
    StringField,
    TargetUrlField,
    WholeNumberField,
)
from subscriptions import examples as sample
from subscriptions.models import Approval, SubscriptionStatus

MAX_QUOTA = 10**15  # requests per month; in JavaScript whole numbers are exact up to 9 × 10¹⁵
# The characters of a DNS label, so that a slug needs no quoting in a URL. `\Z`: `$` would match before a newline too.
SLUG_PATTERN = r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z"


@examples(request=sample.PLAN_CHANGES, response=sample.PLAN)
class PlanSerializer(StrictSerializer):
    """The whole plan, and the fields of it that a client writes. Null limits are none."""

    id = StringField(read_only=True)
    tenant_id = StringField(read_only=True)
    slug = StringField(read_only=True)
    name = StringField(max_length=100)
    rate_limit = WholeNumberField(min_value=1, max_value=MAX_REQUESTS_PER_HOUR, required=False, allow_null=True)
    quota = WholeNumberField(min_value=1, max_value=MAX_QUOTA, required=False, allow_null=True)
    approval = serializers.ChoiceField(choices=Approval.choices, required=False)
    created_at = MomentField(read_only=True)
    updated_at = MomentField(read_only=True)


@examples(request=sample.NEW_PLAN)
class NewPlanSerializer(PlanSerializer):
    """The body of a creation: the slug is said once, here."""

    slug = StringField(max_length=63, validators=[RegexValidator(SLUG_PATTERN)])


@examples(request=sample.SUBSCRIPTION_CHANGES, response=sample.SUBSCRIPTION)
class SubscriptionSerializer(StrictSerializer):
    """The whole subscription, and the terms that a client may change while it is live."""

    id = StringField(read_only=True)
    tenant_id = StringField(read_only=True)
    api_id = StringField(read_only=True)
    plan = StringField(source="plan.slug", read_only=True)
    application = StringField(read_only=True)
    status = serializers.ChoiceField(choices=SubscriptionStatus.choices, read_only=True)
    status_reason = StringField(read_only=True)
    api_key = StringField(
        source="api_key_start",
        read_only=True,
        allow_null=True,
        help_text="The newest live key's masked start; the whole secret in the one answer that issues it.",
    )
    callback_url = TargetUrlField(required=False, allow_null=True)
    rate_limit = WholeNumberField(min_value=1, max_value=MAX_REQUESTS_PER_HOUR, required=False, allow_null=True)
    quota = WholeNumberField(min_value=1, max_value=MAX_QUOTA, required=False, allow_null=True)
    expires_at = MomentField(required=False, allow_null=True)
    created_by = StringField(read_only=True)
    decided_by = StringField(read_only=True, allow_null=True)
    decided_at = MomentField(read_only=True, allow_null=True)
    created_at = MomentField(read_only=True)
    updated_at = MomentField(read_only=True)


@examples(response=sample.SIGNED_SUBSCRIPTION)
class SignedSubscriptionSerializer(SubscriptionSerializer):
    """The one answer after which deliveries to the callback can be verified."""

    callback_secret = StringField(required=False, help_text=_("What its callbacks are signed with; shown once."))


@examples(request=sample.NEW_SUBSCRIPTION)
class NewSubscriptionSerializer(StrictSerializer):
    """The body of a request for access."""

    api_id = StringField(max_length=64)
    plan = StringField(max_length=63)
    application = StringField(max_length=100)
    callback_url = TargetUrlField(required=False, allow_null=True)


@examples(request=sample.TERMS)
class TermsSerializer(StrictSerializer):
    """The body of an approval; what is left out is granted as the subscription shows it."""

    rate_limit = WholeNumberField(min_value=1, max_value=MAX_REQUESTS_PER_HOUR, required=False, allow_null=True)
    quota = WholeNumberField(min_value=1, max_value=MAX_QUOTA, required=False, allow_null=True)
    expires_at = MomentField(required=False, allow_null=True)
    issue_key = FlagField(required=False, default=True, help_text=_("Whether the first key is issued as well."))
