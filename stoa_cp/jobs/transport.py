"""kombu's transport for the queue in PostgreSQL, without DDL and with one connection: it needs no rights beyond rows.

kombu creates the queue and replaces its trigger each time a worker begins to consume. That needs the tables' owner and
locks the queue. ``install_queue`` does both once per release.
"""

from typing import Any

from kombu import Connection
from kombu.transport import TRANSPORT_ALIASES, pgmq
from pgmq import PGMQueue
from psycopg_pool import ConnectionPool

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
    """The transport behind ``pgmq://``: one connection for messages, and one that listens if it consumes.

    The base class makes a pool of ten for each kombu connection, of which a process has several: a worker of 8 threads
    had 40 sessions with the database.
    """

    Channel = Channel
    _pool: ConnectionPool[Any] | None = None

    def _create_pgmq_client(self) -> PGMQueue:
        options = self._options()
        self._pool = ConnectionPool(
            options["conn_string"],
            # Each message is one statement, so a transaction around it would be two round trips more. Nothing prepared:
            # behind a transaction pooler the next statement may go to another session.
            kwargs={"autocommit": True, "prepare_threshold": None},
            min_size=1,
            max_size=1,
            num_workers=1,  # the pool's own threads, which only reconnect
            timeout=options["pool_timeout"],
            open=True,
        )
        return PGMQueue(
            # Not used, but without one the client reads DATABASE_URL, and takes none with several hosts.
            conn_string=options["conn_string"],
            pool=self._pool,
            vt=pgmq.Channel.default_visibility_timeout,
            init_extension=False,  # install_queue made the tables: CREATE EXTENSION would need a superuser
        )

    def _get_notify_waiter(self) -> pgmq._NotifyWaiter:
        # The base class would take the address of PGMQueue, which it does not use, and which lacks the TLS parameters.
        if self._notify_waiter is None:
            self._notify_waiter = pgmq._NotifyWaiter(self._options()["conn_string"])  # noqa: SLF001 - the type above is its only name
        return self._notify_waiter

    def _options(self) -> dict[str, Any]:
        # kombu sets both before it makes a connection; its types do not say so.
        return self.client.transport_options  # type: ignore[union-attr, return-value]  # see above

    def close_connection(self, connection: Connection) -> None:
        """Close the channels, the listener and the pool."""
        try:
            super().close_connection(connection)
        finally:
            if self._pool is not None:
                self._pool.close()
                self._pool = None


def use_this_transport() -> None:
    """Let kombu take this transport for every ``pgmq://`` address."""
    TRANSPORT_ALIASES["pgmq"] = f"{__name__}:Transport"
