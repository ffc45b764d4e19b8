"""``make bench``: measures ours and the baselines in turn, and writes RESULTS.md."""

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # before Celery's app would choose the product's

import django

from tests.benchmarks.databases import durable_server

with durable_server():
    django.setup()
    from tests.benchmarks.subjects import measure_subjects  # models need Django set up

    measure_subjects(sys.argv[1:])
