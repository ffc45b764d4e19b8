"""Background work: the message broker, and sending a Celery task after a commit."""
