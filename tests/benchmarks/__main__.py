"""``make bench``: measures ours and the baselines in turn, and writes RESULTS.md."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from tests.benchmarks.results import write_results  # noqa: E402 - models need Django set up
from tests.benchmarks.verification import verification_rows  # noqa: E402 - the same

write_results(verification_rows())
