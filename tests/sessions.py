"""Ends other sessions with the database of the test, as a failover would."""

from django.db import connection

from tests.waiting import wait_until

END = """
SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND query LIKE %s
"""
ARE_GONE = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY(%s))"


def end_other_sessions(last_query: str = "%") -> int:
    """End the other sessions whose last statement is LIKE ``last_query``; return how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(END, [last_query])
        ended = [pid for pid, _is_told in cursor.fetchall()]

        def are_gone() -> bool:
            cursor.execute(ARE_GONE, [ended])
            return bool(cursor.fetchone()[0])

        wait_until(are_gone, "the sessions end")
    return len(ended)
