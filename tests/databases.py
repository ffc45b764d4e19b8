"""The database of the test, for other processes and for sessions that hold locks."""

from typing import Any
from urllib.parse import quote

from django.db import connection

LOCK_EVENT_CHAIN = "SELECT 1 FROM stoa_cp_eventchain WHERE tenant_id = %s FOR UPDATE"
COUNT_WAITING_SESSIONS = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE NOT granted AND datname = current_database()
"""


def database_url() -> str:
    """Return the address of the database that this test runs on."""
    named: dict[str, Any] = connection.settings_dict
    user, password, host, name = (quote(str(named[key] or ""), safe="") for key in ("USER", "PASSWORD", "HOST", "NAME"))
    credentials = f"{user}:{password}" if password else user
    port = f":{named['PORT']}" if named["PORT"] else ""
    return f"postgres://{credentials}@{host}{port}/{name}" if host else f"postgres:///{name}"
