"""How an API key reads and is written in JSON."""

from typing import Any

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apikeys import examples as sample
from apikeys.gateway.document import DIGEST_ALGORITHM
from apikeys.gateway.exporters import FORMATS
from apikeys.gateway.long_poll import MAX_WAIT_SECONDS
from apikeys.gateway.serializers import MAX_METHOD_CHARS
from apikeys.models import MAX_RESTRICTIONS, KeyStatus, Mode
from apikeys.services.keys import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS
from apikeys.services.revocations import MAX_KEYS_AT_ONCE
from catalog.models import ApiStatus
from catalog.paths import normalise_path
from catalog.serializers import ApiRateLimitSerializer
from stoa_cp.openapi.schema import examples
from stoa_cp.rest.serializers import (
    CidrField,
    FlagField,
    MomentField,
    ShortListField,
    StrictSerializer,
    StringField,
    WholeNumberField,
)

# In capitals only: HTTP compares methods exactly (RFC 9110 §9.1), so that a key for `get` would be one for nothing.
# `\Z`: `$` would match before a newline too.
METHOD_PATTERN = r"^[A-Z][A-Z0-9_-]*\Z"


class ApiPathField(StringField):
    """A path below an API's, in the spelling that calls are compared in."""

    default_error_messages = {
        "not_a_path": _("A path begins with / and has segments of letters, digits and . _ ~ - only."),
    }

    def to_internal_value(self, data: Any) -> str:
        path = normalise_path(super().to_internal_value(data))
        if path is None:
            self.fail("not_a_path")
        return path


def _allowed(child: serializers.Field[Any, Any, Any, Any], help_text: str) -> ShortListField:
    # Not empty: it would be read as "anywhere", and mean "nowhere".
    return ShortListField(
        child=child,
        min_length=1,
        max_length=MAX_RESTRICTIONS,
        allow_null=True,
        required=False,
        help_text=f"{help_text} Null is anywhere.",
    )


def _allowed_ips() -> ShortListField:
    return _allowed(CidrField(), "The networks of callers, in CIDR notation.")


def _allowed_methods() -> ShortListField:
    method = StringField(max_length=MAX_METHOD_CHARS, validators=[RegexValidator(METHOD_PATTERN)])
    return _allowed(method, "The methods of calls; GET allows HEAD.")


def _allowed_paths() -> ShortListField:
    return _allowed(ApiPathField(max_length=200), "Prefixes of paths below the API's, by whole segments.")


@examples(request=sample.KEY_CHANGES, response=sample.KEY)
class ApiKeySerializer(StrictSerializer):
    """The whole key; of its secret only the start."""

    id = StringField(read_only=True)
    tenant_id = StringField(read_only=True)
    subscription_id = StringField(read_only=True)
    name = StringField(max_length=100)
    mode = serializers.ChoiceField(choices=Mode.choices, read_only=True)
    start = StringField(read_only=True)
    status = serializers.ChoiceField(choices=KeyStatus.choices, read_only=True)
    expires_at = MomentField(required=False, allow_null=True)
    allowed_ips = _allowed_ips()
    allowed_methods = _allowed_methods()
    allowed_paths = _allowed_paths()
    previous_valid_until = MomentField(read_only=True, allow_null=True)
    previous_last_used_at = MomentField(read_only=True, allow_null=True)
    last_used_at = MomentField(read_only=True, allow_null=True)
    leaked_at = MomentField(
        read_only=True, allow_null=True, help_text="When a valid secret of the key was reported as found in public."
    )
    created_at = MomentField(read_only=True)
    updated_at = MomentField(read_only=True)


@examples(response=sample.ISSUED_KEY)
class IssuedKeySerializer(ApiKeySerializer):
    """The one answer that holds the secret itself."""

    key = StringField(read_only=True)


@examples(request=sample.NEW_KEY)
class NewKeySerializer(StrictSerializer):
    """The body of a creation."""

    subscription_id = StringField(max_length=64)  # an id has 20; a wrong one is refused as unknown, not as too long
    name = StringField(max_length=100)
    expires_at = MomentField(required=False, allow_null=True)
    mode = serializers.ChoiceField(choices=Mode.choices, required=False)
    allowed_ips = _allowed_ips()
    allowed_methods = _allowed_methods()
    allowed_paths = _allowed_paths()


@examples(request=sample.KEY_SELECTION)
class KeySelectionSerializer(StrictSerializer):
    """Which keys to revoke: either ``ids``, or a filter of the other fields with the number that it selects."""

    default_error_messages = {
        "ids_or_filter": _("Send either ids or a filter."),
    }

    ids = ShortListField(child=StringField(max_length=64), min_length=1, max_length=MAX_KEYS_AT_ONCE, required=False)
    subscription_id = StringField(max_length=64, required=False)
    plan = StringField(max_length=64, required=False)
    created_before = MomentField(required=False)
    unused_since = MomentField(required=False)
    confirm = WholeNumberField(
        min_value=0, required=False, help_text="With a filter: how many keys it selects, as a dry run has told."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        conditions = attrs.keys() - {"ids", "confirm"}
        if ("ids" in attrs) == bool(conditions):
            self.fail("ids_or_filter")
        return attrs


class KeyRevocationSerializer(StrictSerializer):
    """One key that was revoked."""

    index = WholeNumberField(read_only=True)
    id = StringField(read_only=True)
    status = WholeNumberField(read_only=True, help_text="204, as DELETE answers.")


@examples(response=sample.KEY_REVOCATIONS)
class KeyRevocationsSerializer(StrictSerializer):
    """All keys that were revoked, in the order of ``ids``, else of their own ids."""

    results = KeyRevocationSerializer(many=True, read_only=True)


@examples(request=sample.ROTATION)
class KeyRotationSerializer(StrictSerializer):
    """The body of a rotation."""

    # 0 is for a leaked secret: the old one is refused at once.
    overlap_seconds = WholeNumberField(
        min_value=0, max_value=MAX_OVERLAP_SECONDS, required=False, default=DEFAULT_OVERLAP_SECONDS
    )
    force = FlagField(required=False, default=False)
    expires_at = MomentField(required=False, allow_null=True, help_text="Another end of the key; null is none.")


class ConfigurationQuerySerializer(StrictSerializer):
    """The form of a gateway's configuration, and how long to wait for another one than it has."""

    format = serializers.ChoiceField(choices=("json", *FORMATS), required=False, default="json")
    wait = serializers.IntegerField(
        min_value=0,
        max_value=MAX_WAIT_SECONDS,
        required=False,
        default=0,
        help_text="Seconds to wait for a change, where If-None-Match names what there is.",
    )


class RouteSerializer(StrictSerializer):
    """Where calls to one API come in and go."""

    api_id = StringField(read_only=True)
    tenant_id = StringField(read_only=True)
    tenant = StringField(read_only=True)
    path = StringField(read_only=True)
    upstream_url = StringField(read_only=True)
    sandbox_url = StringField(read_only=True, allow_null=True, help_text="Where test keys lead; null: nowhere.")
    auth_required = FlagField(read_only=True)
    rate_limit = ApiRateLimitSerializer(read_only=True)
    status = serializers.ChoiceField(choices=ApiStatus.choices, read_only=True)


class GrantSerializer(StrictSerializer):
    """A subscription that lets calls through, and within which limits."""

    id = StringField(read_only=True)
    tenant_id = StringField(read_only=True)
    api_id = StringField(read_only=True)
    application = StringField(read_only=True)
    plan = StringField(read_only=True)
    rate_limit = WholeNumberField(read_only=True, allow_null=True)
    quota = WholeNumberField(read_only=True, allow_null=True)
    expires_at = MomentField(read_only=True, allow_null=True)


class DigestSerializer(StrictSerializer):
    """One secret of a key, as its digest."""

    id = StringField(read_only=True)
    subscription_id = StringField(read_only=True)
    digest = StringField(read_only=True, help_text="Hexadecimal, under one of the control plane's peppers.")
    mode = serializers.ChoiceField(choices=Mode.choices, read_only=True)
    expires_at = MomentField(read_only=True, allow_null=True)
    valid_until = MomentField(read_only=True, allow_null=True, help_text="When a rotation retires this secret.")
    allowed_ips = serializers.ListField(child=StringField(), read_only=True, allow_null=True)
    allowed_methods = serializers.ListField(child=StringField(), read_only=True, allow_null=True)
    allowed_paths = serializers.ListField(child=StringField(), read_only=True, allow_null=True)


@examples(response=sample.CONFIGURATION)
class ConfigurationSerializer(StrictSerializer):
    """What a gateway needs in order to decide by itself."""

    digest_algorithm = serializers.ChoiceField(choices=[DIGEST_ALGORITHM], read_only=True)
    keys = DigestSerializer(many=True, read_only=True)
    subscriptions = GrantSerializer(many=True, read_only=True)
    routes = RouteSerializer(many=True, read_only=True)
