"""The naive project's worker: Django's own default for connections, which is none that lasts."""

from tests.benchmarks.naive.settings import *  # noqa: F403 - the same project
from tests.benchmarks.naive.settings import DATABASES

DATABASES["default"] |= {"CONN_MAX_AGE": 0}
IS_PRODUCTION = False  # Celery runs the checks of our apps, which ask for it
