"""The reasons for refusing a call: their codes, HTTP statuses and messages."""

from collections.abc import Mapping
from http import HTTPStatus

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Reason(models.TextChoices):
    """The reason for a refusal; its label is a message to the caller that says what to do."""

    KEY_MISSING = "key_missing", _("Send your API key in the header X-API-Key.")
    KEY_MALFORMED = "key_malformed", _("This is no API key: copy the whole key, and send one only.")
    KEY_UNKNOWN = "key_unknown", _("There is no such API key; ask its issuer for another.")
    KEY_EXPIRED = "key_expired", _("The API key has expired; ask its issuer for another.")
    KEY_REVOKED = "key_revoked", _("The API key was revoked or replaced; use its successor.")
    SUBSCRIPTION_SUSPENDED = "subscription_suspended", _("The subscription is suspended; ask the API's owner.")
    SUBSCRIPTION_EXPIRED = "subscription_expired", _("The subscription has expired; ask the API's owner to renew it.")
    SUBSCRIPTION_REVOKED = "subscription_revoked", _("The subscription was revoked; subscribe again.")
    API_NOT_SUBSCRIBED = "api_not_subscribed", _("The API key opens another API; subscribe to this one.")
    API_INACTIVE = "api_inactive", _("The API is switched off; try again later.")
    UPSTREAM_REFUSED = "upstream_refused", _("The API's upstream is at a forbidden address; ask the API's owner.")
    TENANT_SUSPENDED = "tenant_suspended", _("The API's owner is suspended; try again later.")
    ROUTE_UNKNOWN = "route_unknown", _("There is no API at this path; check the address.")
    ADDRESS_NOT_ALLOWED = (
        "address_not_allowed",
        _("The API key is not for use from this address; call from an allowed one, or ask the key's owner."),
    )
    METHOD_NOT_ALLOWED = (
        "method_not_allowed",
        _("The API key is not for use with this method; use an allowed one, or ask the key's owner."),
    )
    PATH_NOT_ALLOWED = (
        "path_not_allowed",
        _("The API key is not for use at this path; call an allowed one, or ask the key's owner."),
    )
    TEST_MODE_UNAVAILABLE = (
        "test_mode_unavailable",
        _("A test key needs an API with a sandbox, and a gateway that leads there; use a live key."),
    )
    RATE_LIMITED = "rate_limited", _("The calls of this hour are used up; wait as long as Retry-After says.")
    QUOTA_EXCEEDED = "quota_exceeded", _("The calls of this month are used up; ask for a larger quota, or wait.")


# The HTTP status of a refusal in forward-auth; 403 for the reasons that are not here.
STATUS_BY_REASON: Mapping[str, HTTPStatus] = {
    Reason.KEY_MISSING: HTTPStatus.UNAUTHORIZED,
    Reason.KEY_MALFORMED: HTTPStatus.UNAUTHORIZED,
    Reason.KEY_UNKNOWN: HTTPStatus.UNAUTHORIZED,
    Reason.KEY_EXPIRED: HTTPStatus.UNAUTHORIZED,
    Reason.KEY_REVOKED: HTTPStatus.UNAUTHORIZED,
    Reason.ROUTE_UNKNOWN: HTTPStatus.NOT_FOUND,
    Reason.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.QUOTA_EXCEEDED: HTTPStatus.TOO_MANY_REQUESTS,
}


def status_of(reason: Reason) -> HTTPStatus:
    """Return the HTTP status of a refusal."""
    return STATUS_BY_REASON.get(reason, HTTPStatus.FORBIDDEN)


def sentence_of(reason: Reason) -> str | Promise:
    """Return the message to the caller, in the language of the request."""
    return reason.label
