"""The web application with the fail-point that ``STOA_FAULT`` names; the server imports it instead of the real one."""

import os

from stoa_cp.wsgi import application
from tests.faults.failing import arm

__all__ = ["application"]

arm(os.environ["STOA_FAULT"])
