"""Structured logging: one event a line, the request id in each; JSON in production, readable in a terminal."""

from typing import Any

import structlog

SHARED_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def logging_config(*, as_json: bool) -> dict[str, Any]:
    """Return Django's ``LOGGING`` and make structlog write through the standard library to the same place."""
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
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                "foreign_pre_chain": SHARED_PROCESSORS,
            },
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            # The gate answers and logs refusals itself; Django would log each 4xx a second time.
            "django.request": {"level": "ERROR"},
            # Each sweep of beat would say five lines; "celery.apps.worker" tells that the worker is ready.
            "celery": {"level": "WARNING"},
            "celery.apps.worker": {"level": "INFO"},
            "django_structlog.celery": {"level": "WARNING"},
            "urllib3": {"level": "ERROR"},  # its warnings print the URLs of receivers
            "django.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        },
    }
