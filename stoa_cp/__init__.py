"""The kernel: what every app of the control plane stands on, and no business noun."""

from stoa_cp.celery import app as celery_app

__all__ = ["celery_app"]
