"""From an event to a receiver: fan-out, queue, worker, sending, retries, replay, retention."""
