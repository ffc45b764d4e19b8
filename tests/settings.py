"""The product's settings, over a PostgreSQL that the first process starts unless DATABASE_URL names one."""

import atexit
import os
import tempfile
from contextlib import ExitStack

from stoa_cp.devserver.postgres import scratch_server

if "DATABASE_URL" not in os.environ:
    # The workers of pytest-xdist are children of this process: they inherit the address, and it stops the server.
    resources = ExitStack()
    os.environ["DATABASE_URL"] = resources.enter_context(scratch_server()).url
    atexit.register(resources.close)

# No `.data/env` of a development server, whatever lies in this folder.
os.environ["STOA_DATA_DIR"] = f"{tempfile.gettempdir()}/stoa-tests-have-no-data-folder"
os.environ["STOA_KEY_PEPPERS"] = "pepper-of-the-tests"
os.environ["STOA_ENCRYPTION_KEYS"] = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
os.environ["STOA_AUDIT_KEYS"] = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
os.environ["STOA_GATEWAY_URL"] = "https://gateway.example.com"
os.environ["STOA_BROKER_URL"] = "memory://"

from stoa_cp.settings import *  # noqa: F403 - they read the environment that was prepared above
from stoa_cp.settings import DATABASES

DATABASES["default"]["TEST"] = {"NAME": f"test_{os.environ.get('STOA_TEST_DB', 'stoa')}"}
DATABASES["default"]["CONN_MAX_AGE"] = 0
DATABASES["replica"] = DATABASES["default"] | {"TEST": {"MIRROR": "default"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHITENOISE_AUTOREFRESH = True  # or every client would scan all static files
# Tests send many calls of a tenant at once to the application in their own process. Servers read their own setting.
STOA_WEB_THREADS = 128
