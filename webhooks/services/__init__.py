"""Every write on webhooks and on stored secrets. Callers import this package, not its modules."""

from webhooks.services.encryption import reencrypt_secrets
from webhooks.services.webhooks import (
    DEFAULT_OVERLAP_SECONDS,
    MAX_OVERLAP_SECONDS,
    MAX_WEBHOOKS_PER_TENANT,
    NewWebhook,
    Rotation,
    TooManyWebhooks,
    WebhookDisabled,
    delete_webhook,
    disable_webhook,
    lock_webhook,
    register_webhook,
    rotate_secret,
    send_test,
    snapshot,
    update_webhook,
)

__all__ = [
    "DEFAULT_OVERLAP_SECONDS",
    "MAX_OVERLAP_SECONDS",
    "MAX_WEBHOOKS_PER_TENANT",
    "NewWebhook",
    "Rotation",
    "TooManyWebhooks",
    "WebhookDisabled",
    "delete_webhook",
    "disable_webhook",
    "lock_webhook",
    "reencrypt_secrets",
    "register_webhook",
    "rotate_secret",
    "send_test",
    "snapshot",
    "update_webhook",
]
