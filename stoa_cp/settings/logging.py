"""Structured logging: one event per line, with the request id; JSON in production, plain text in development."""

import logging
from typing import Any

import structlog

from stoa_cp.observability.logs import SHARED_PROCESSORS, formatter, json_formatter


def logging_config(*, as_json: bool) -> dict[str, Any]:
    """Return Django's ``LOGGING``, and configure structlog to write through the standard library.

    Libraries use the standard library's loggers, the product structlog's: both end in the same handler and format.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED_PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {"()": json_formatter if as_json else plain_formatter},
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            # The request's own line has its status; Django would log each 4xx a second time.
            "django.request": {"level": "ERROR"},
            # Celery logs five lines for each sweep of beat. "celery.apps.worker" logs that the worker is ready.
            "celery": {"level": "WARNING"},
            "celery.apps.worker": {"level": "INFO"},
            "django_structlog.celery": {"level": "WARNING"},
            "urllib3": {"level": "ERROR"},  # its warnings contain the URLs of webhooks, which may hold secrets
            "django.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        },
    }


def plain_formatter() -> logging.Formatter:
    """Return the formatter of development."""
    return formatter(structlog.dev.ConsoleRenderer(colors=False))
