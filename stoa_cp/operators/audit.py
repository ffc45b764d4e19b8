"""Events of operators that stand behind no change of a row: failed sign-ins, bounded, and secrets that were shown."""

from django.db import transaction
from django.http import HttpRequest

from stoa_cp.domain.actors import SYSTEM, Actor
from stoa_cp.eventlog.emit import PLATFORM_LOG, emit
from stoa_cp.operators.event_types import OperatorEvent
from stoa_cp.ratelimit.limiter import count_this_hour


def record_failure(request: HttpRequest, account: str | None, *, method: str) -> None:
    """Count a failed sign-in, and log the 1st, 10th, 100th, 1,000th … of an account in an hour, with the count.

    ``account`` is the name or subject of an account that exists. All others count together as None: what was typed is
    not kept, as it may be a password, and invented names must not make events. So an hour has about five events for
    each account that is attacked, and five for all names that do not exist: a flood does not fill the log.
    """
    # Outside the transaction of the event: inside, the counter's row would stay locked until the commit.
    failures = count_this_hour(f"sign-in-failed:{account or ''}", request)
    if failures is None or str(failures).strip("0") != "1":
        return
    with transaction.atomic():
        data = {"account": account, "method": method, "failures_this_hour": failures}
        # No person has proved to be the account: the service itself tells of it.
        emit(OperatorEvent.SIGN_IN_FAILED, tenant_id=PLATFORM_LOG, actor=SYSTEM, data=data)


@transaction.atomic
def record_secret_shown(kind: str, object_id: str | None, *, by: Actor) -> None:
    """Log that a person was shown a secret, before it is shown: without the event there is no look.

    ``kind`` is the model's label, such as ``apikeys.ApiKey``; ``object_id`` is None for a row that was just made.
    """
    emit(OperatorEvent.SECRET_SHOWN, tenant_id=PLATFORM_LOG, actor=by, data={"kind": kind, "object_id": object_id})
