"""kombu's transport for the queue in PostgreSQL, without DDL: it needs no rights beyond rows.

kombu creates the queue and replaces its trigger each time a worker begins to consume. That needs the tables' owner and
locks the queue. ``install_queue`` does both once per release.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, pgmq

# The trigger notifies only if the queue has this row, in a table that a crash of PostgreSQL empties.
KEEP_NOTIFYING = """
INSERT INTO pgmq.notify_insert_throttle (queue_name, throttle_interval_ms) VALUES (%s, %s) ON CONFLICT DO NOTHING
"""


class Channel(pgmq.Channel):
    """Consumes from a queue that exists, and listens to its notifications."""

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        self._maybe_enable_notify(queue)

    def _maybe_enable_notify(self, queue: str, queue_name: str | None = None) -> None:
        if self.use_notify:
            name = queue_name or self._queue_name(queue)
            # The base class makes both calls, too: kombu and the client of pgmq have no public ones.
            self.pgmq._execute(KEEP_NOTIFYING, (name, self.notify_throttle_interval_ms))  # noqa: SLF001 - see above
            self.connection._register_notify_queue(name)  # type: ignore[attr-defined]  # noqa: SLF001 - no types for it


class Transport(pgmq.Transport):
    """The transport behind ``pgmq://``."""

    Channel = Channel


def use_this_transport() -> None:
    """Let kombu take this transport for every ``pgmq://`` address."""
    TRANSPORT_ALIASES["pgmq"] = f"{__name__}:Transport"
