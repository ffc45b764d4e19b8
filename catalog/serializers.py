"""APIs and gateways in JSON."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from catalog import examples as sample
from catalog.models import UPSTREAM_FIELDS, ApiStatus
from catalog.paths import normalise_path
from catalog.upstreams import judge_upstreams, parse_http_url, parse_upstream
from stoa_cp.net.urls import MAX_URL_LENGTH, UrlRefused
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

MAX_REQUESTS_PER_HOUR = 2_000_000_000  # the columns are integers, which end at 2,147,483,647
MAX_NETWORKS = 50  # each call compares the gateway's address with all of them
MAX_TENANTS = 1_000  # a gateway for more of them is one for all; each call looks for its tenant's id among them
# With dots, so that a host name fits. `\Z`: `$` would match before a newline too.
GATEWAY_NAME_PATTERN = r"^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\Z"
# People write names for people, in any alphabet. But names stand in configurations too, where APISIX, Caddy, HAProxy
# and Traefik replace ${X}, {x} and {{ x }} before they parse the file, and where a comment ends with its line.
NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029${}]")


@contextmanager
def refused_as_invalid() -> Iterator[None]:
    """Turn the refusal of a URL into that of its field."""
    try:
        yield
    except UrlRefused as refusal:
        raise serializers.ValidationError(str(refusal.reason), code="invalid") from refusal


class ApiRateLimitSerializer(StrictSerializer):
    """The ceiling for all consumers of an API together; null is none."""

    requests_per_hour = WholeNumberField(min_value=1, max_value=MAX_REQUESTS_PER_HOUR, allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        # RFC 7396: null removes a member. An API without the member has no limit.
        return super().to_internal_value({"requests_per_hour": None} if data is None else data)


@examples(request=sample.API_CHANGES, response=sample.API)
class ApiSerializer(StrictSerializer):
    """The whole API, and the fields of it that a client writes."""

    id = StringField(read_only=True)
    tenant_id = StringField(read_only=True)
    name = StringField(max_length=100)
    description = StringField(max_length=2000, required=False, allow_blank=True)
    upstream_url = StringField(max_length=MAX_URL_LENGTH)
    sandbox_url = StringField(max_length=MAX_URL_LENGTH, required=False, allow_null=True)
    path = StringField(max_length=200)
    version = StringField(source="api_version", max_length=32, required=False)
    auth_required = FlagField(required=False)
    rate_limit = ApiRateLimitSerializer(source="*", required=False, allow_null=True)
    public_url = StringField(read_only=True)
    openapi_url = StringField(max_length=MAX_URL_LENGTH, required=False, allow_blank=True)
    status = serializers.ChoiceField(choices=ApiStatus.choices, required=False)
    deprecated_at = MomentField(read_only=True, allow_null=True)
    sunset_at = MomentField(required=False, allow_null=True)
    upstream_refused_at = MomentField(
        read_only=True,
        allow_null=True,
        help_text=_("Since when one of its hosts has led to a forbidden address; calls are refused meanwhile."),
    )
    created_at = MomentField(read_only=True)
    updated_at = MomentField(read_only=True)

    def validate_name(self, name: str) -> str:
        return self._one_line("name", name)

    def validate_version(self, version: str) -> str:
        return self._one_line("api_version", version)

    def validate_path(self, path: str) -> str:
        normalised = normalise_path(path)
        if normalised is None:
            raise serializers.ValidationError(
                _("A path begins with / and has segments of letters, digits and . _ ~ - only."), code="invalid"
            )
        return normalised

    def validate_upstream_url(self, url: str) -> str:
        return self._plain("upstream_url", url)

    def validate_sandbox_url(self, url: str | None) -> str | None:
        return url if url is None else self._plain("sandbox_url", url)

    def validate_openapi_url(self, url: str) -> str:
        if url and not self._is_stored("openapi_url", url):
            with refused_as_invalid():
                parse_http_url(url)
        return url

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # Here, where no transaction is open yet: resolving both hosts takes up to 2 s.
        new = {
            name: attrs[name] for name in UPSTREAM_FIELDS if attrs.get(name) and not self._is_stored(name, attrs[name])
        }
        judgements = judge_upstreams(new.values()) if new else {}
        refused = {name: judgements[url] for name, url in new.items() if judgements.get(url)}
        if refused:
            raise serializers.ValidationError(
                {name: [ErrorDetail(str(reason), "invalid")] for name, reason in refused.items()}
            )
        return attrs

    def _one_line(self, name: str, text: str) -> str:
        if NOT_IN_NAMES.search(text) and not self._is_stored(name, text):
            raise serializers.ValidationError(
                _("This must be one line of text, without the characters $ { and }."), code="invalid"
            )
        return text

    def _plain(self, name: str, url: str) -> str:
        """Return the URL in its one spelling. A client may send back what is stored, whatever the rules are now."""
        if self._is_stored(name, url):
            return url
        with refused_as_invalid():
            return str(parse_upstream(url))

    def _is_stored(self, name: str, value: str) -> bool:
        return self.instance is not None and value == getattr(self.instance, name)


@examples(request=sample.NEW_API)
class NewApiSerializer(ApiSerializer):
    """The body of a registration: an API begins active."""

    status = serializers.ChoiceField(choices=ApiStatus.choices, read_only=True)
    sunset_at = MomentField(read_only=True, allow_null=True)


@examples(request=sample.GATEWAY_CHANGES, response=sample.GATEWAY)
class GatewaySerializer(StrictSerializer):
    """The whole gateway, and the fields of it that PATCH changes; its token only where it is issued."""

    id = StringField(read_only=True)
    name = StringField(read_only=True)
    # An empty list is refused: it could be read as "none" and as "all".
    allowed_ips = ShortListField(
        child=CidrField(),
        min_length=1,
        max_length=MAX_NETWORKS,
        required=False,
        allow_null=True,
        help_text=_("Networks from which its token is accepted; null is anywhere."),
    )
    tenants = ShortListField(
        child=StringField(max_length=63),
        min_length=1,
        max_length=MAX_TENANTS,
        required=False,
        allow_null=True,
        help_text=_("Ids or names of the tenants whose calls it may ask about, stored as ids; null is all."),
    )
    last_seen_at = MomentField(read_only=True, allow_null=True)
    created_at = MomentField(read_only=True)
    updated_at = MomentField(read_only=True)


@examples(request=sample.NEW_GATEWAY)
class NewGatewaySerializer(GatewaySerializer):
    """The body of a gateway's registration."""

    name = StringField(max_length=63, validators=[RegexValidator(GATEWAY_NAME_PATTERN)])


@examples(response=sample.ISSUED_GATEWAY)
class IssuedGatewaySerializer(GatewaySerializer):
    """The one answer that holds the token itself."""

    token = StringField(read_only=True)
