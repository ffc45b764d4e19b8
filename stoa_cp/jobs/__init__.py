"""Background work: the message broker, and sending a Celery task after a commit.

- ``enqueue.enqueue_on_commit`` sends a task when the transaction has committed; ``broker`` configures the broker.
- A task only announces work. The work itself is a row with a due time, which a periodic sweep finds as well: losing
  the broker loses nothing.
- A request waits 0.2 s for the broker at most.
"""
