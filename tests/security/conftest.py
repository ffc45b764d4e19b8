"""Fixtures of the kernel's tests that these need, too."""

from tests.kernel.conftest import provider

__all__ = ["provider"]
