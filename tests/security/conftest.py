"""Fixtures of other packages' tests that these need, too."""

from tests.kernel.conftest import provider
from tests.webhooks.conftest import drain, receiver, start_receiver

__all__ = ["drain", "provider", "receiver", "start_receiver"]
