"""Fail-points: runs the product's own program in a process that kills itself at one named moment.

The product holds no code for this; the one function is replaced here, from the outside.
"""

import os
import runpy
import signal
import sys
from pkgutil import resolve_name

# Each is a function, under the name by which its caller knows it, that is called at that moment.
POINTS = {
    "before the send": "webhooks.delivery.worker.send",
    "between commit and publishing": "stoa_cp.jobs.enqueue._publish",
    "before the commit": "stoa_cp.eventlog.emit.enqueue_on_commit",
    "before the answer": "stoa_cp.ratelimit.limiter.RateLimitStatus.headers",
}


def die(*_args: object, **_kwargs: object) -> None:
    """End as under ``kill -9``: nothing is flushed, closed or rolled back."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Put death in the place of the function. Django must be set up."""
    owner, _dot, name = POINTS[point].rpartition(".")
    setattr(resolve_name(owner), name, die)


def main(point: str, program: str, *arguments: str) -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stoa_cp.settings")
    django.setup()
    arm(point)
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
