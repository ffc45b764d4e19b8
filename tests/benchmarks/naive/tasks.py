"""The obvious delivery: a task that gets its row, signs, sends, and saves what came of it."""

import os

import requests
from celery import Celery, Task
from django.utils import timezone
from standardwebhooks import Webhook

app = Celery("naive", broker=os.environ["NAIVE_BROKER_URL"])
if "NAIVE_REUSES_CONNECTIONS" in os.environ:
    app.conf["CELERY_DB_REUSE_MAX"] = 1_000_000
    post = requests.Session().post
else:
    post = requests.post


@app.task(name="deliver", bind=True, max_retries=8)
def deliver(self: Task, delivery_id: int) -> None:
    from tests.benchmarks.naive.models import Attempt, Delivery  # Celery sets Django up after this module

    delivery, now = Delivery.objects.get(pk=delivery_id), timezone.now()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(delivery.secret).sign(delivery.event_id, now, delivery.body),
    }
    try:
        response = post(delivery.url, data=delivery.body.encode(), headers=headers, timeout=15)
        response.raise_for_status()
    except requests.RequestException as failure:
        status = failure.response.status_code if failure.response is not None else None
        Attempt.objects.create(delivery=delivery, attempted_at=now, response_status=status, error=str(failure)[:500])
        raise self.retry(exc=failure, countdown=30) from failure
    Attempt.objects.create(delivery=delivery, attempted_at=now, response_status=response.status_code)
    delivery.status, delivery.delivered_at = "delivered", now
    delivery.save()
