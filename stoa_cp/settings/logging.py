"""Structured logging: one event per line, with the request id; JSON in production, plain text in development."""

from typing import Any

import structlog

from stoa_cp.observability.logs import drop_gateway_query, mask_keys

SHARED_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    drop_gateway_query,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


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
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, mask_keys],
                "foreign_pre_chain": SHARED_PROCESSORS,
            },
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
