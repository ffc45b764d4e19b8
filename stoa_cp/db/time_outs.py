"""The time-outs of every session with the database: as options of a connection, or as settings of a role."""

from collections.abc import Mapping

# A stuck row makes an error after seconds, instead of a queue of all threads. A worker that is frozen inside a
# transaction loses it after 10 s, and others go on with its rows.
TIME_OUTS: Mapping[str, str] = {
    "lock_timeout": "2s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
}


def as_options(settings: Mapping[str, str]) -> str:
    """Return libpq's ``options`` that make these the settings of a session."""
    return " ".join(f"-c {name}={value}" for name, value in settings.items())
