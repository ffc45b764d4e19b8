"""Brings events to receivers, each at least once: fan-out, queue, sending, retries, replay, retention.

``fan_out.fan_out_events`` writes deliveries; ``worker.DeliveryWorker.drain`` sends what is due; ``replay`` sends again.

- A row of ``Delivery`` is the job. It is claimed under a lease and settled with the token of that lease.
- Both bounds in flight, per webhook and per tenant, hold over all workers. Claims go by lanes of tenants.
- No lock and no transaction is held while a request is on its way.
- The database's clock decides what is due. A receiver sees the same ``webhook-id`` and body on every attempt.
"""
