"""Re-encrypting stored secrets, so that an old encryption key can be removed."""

from io import StringIO

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.core.management import call_command
from pytest_django import Settings

from stoa_cp.crypto.encryption import decrypt, encrypt
from tenants.models import Tenant
from tests.factories import SubscriptionFactory
from tests.webhooks.factories import SECRET, WebhookFactory
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db


def test_an_encryption_key_is_retired(acme: Tenant, settings: Settings) -> None:
    new, (old,) = Fernet.generate_key().decode(), settings.STOA_ENCRYPTION_KEYS
    webhook = WebhookFactory(
        tenant=acme, previous_secret=encrypt("whsec_old"), previous_secret_valid_until="2100-01-01T00:00:00Z"
    )
    WebhookFactory(tenant=acme)
    subscription = SubscriptionFactory(
        tenant=acme, callback_url="https://myapp.com/", callback_secret=encrypt("whsec_call")
    )
    settings.STOA_ENCRYPTION_KEYS = [new, old]
    answer = StringIO()
    call_command("rotate_encryption_key", stdout=answer, stderr=StringIO())
    assert answer.getvalue() == "4 secrets are under the newest key.\n"

    settings.STOA_ENCRYPTION_KEYS = [new]
    version = webhook.version
    webhook.refresh_from_db()
    subscription.refresh_from_db()
    secrets = (webhook.secret, webhook.previous_secret, subscription.callback_secret)
    assert [decrypt(secret) for secret in secrets] == [SECRET, "whsec_old", "whsec_call"]
    assert webhook.version == version


def test_a_secret_that_no_key_opens_stops_the_rotation(acme: Tenant, settings: Settings) -> None:
    webhook = WebhookFactory(tenant=acme)
    settings.STOA_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(InvalidToken):
        call_command("rotate_encryption_key", stdout=StringIO(), stderr=StringIO())
    assert bytes(Webhook.objects.get().secret) == bytes(webhook.secret)
