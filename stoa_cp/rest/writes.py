"""Runs a write: one service in one transaction, with Idempotency-Key, If-Match, dry run and retry after a deadlock."""

from collections.abc import Callable
from time import sleep

from django.db import OperationalError, transaction
from django.http import HttpResponse
from psycopg.errors import DeadlockDetected
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from stoa_cp.identity.authentication import actor_of
from stoa_cp.rest.idempotency import HEADER, IdempotentRequest
from stoa_cp.rest.parameters import flag_parameter

# After a deadlock a write is tried once more. Once is enough: services take locks in one order (tenant, API,
# subscription, key, webhook, event chain); only PostgreSQL's own checks of foreign keys lock rows in another order.
# It is not done in services: a deadlock ends the whole transaction, which a service may not own. Tasks need none: the
# next sweep finds their work again.
# The pause lets the other transaction take the lock that it waits for. Without it this one is often faster, takes its
# first lock again, and both deadlock a second time.
DEADLOCK_PAUSE_SECONDS = 0.1


def run_write(
    request: Request,
    operation: Callable[[], Response],
    *,
    path: str,
    check_precondition: Callable[[], None] | None = None,
) -> HttpResponse:
    """Carry a write out, and return its answer as bytes. An Idempotency-Key is valid for this ``path`` only.

    1. Read ``?dry_run`` and, of a POST or PATCH, the ``Idempotency-Key``. Refuse a malformed one before anything else.
    2. Open one transaction around steps 3 to 6: the effect, its events and the stored answer commit together.
    3. Unless it is a dry run, lock the Idempotency-Key. If its answer is stored, return that answer. This comes before
       the precondition: a retry carries the If-Match of the first attempt, which that attempt has made stale.
    4. If the client sent ``If-Match``, compare it with the row, under the row's lock.
    5. Call the service and render its result inside the transaction, so that the bytes stored for a retry are the
       bytes that the first client got.
    6. With ``?dry_run=true`` roll back; else, with a key, store the answer under it.
    7. If PostgreSQL ended this transaction to resolve a deadlock, repeat steps 2 to 6 once, after a pause.

    Raises what the service raises, PreconditionFailed, IdempotencyInProgress and IdempotencyKeyReused.
    """
    is_dry_run = flag_parameter(request, "dry_run")
    keyed = _read_idempotency_key(request, path)

    def attempt() -> HttpResponse:
        with transaction.atomic():
            # The answer of a dry run says what would happen now, and is not that of an earlier write.
            if keyed and not is_dry_run and (stored := keyed.claim()):
                return stored
            if check_precondition and "If-Match" in request.headers:
                check_precondition()
            response = _render_to_bytes(operation())
            if is_dry_run:
                transaction.set_rollback(True)
            elif keyed:
                keyed.store(response)
        return response

    return _retry_after_deadlock(attempt)


def _read_idempotency_key(request: Request, path: str) -> IdempotentRequest | None:
    """Return the request with its key; None without a key.

    DELETE needs none: a second one is a 404 and changes nothing.
    """
    header = request.headers.get(HEADER)
    if header is None or request.method not in ("POST", "PATCH"):
        return None
    scope = f"{actor_of(request).id}\n{request.method}\n{path}"
    # Parameters say what is to be done as the body does: an import has some of its fields there.
    return IdempotentRequest.read(header, scope, request.META["QUERY_STRING"].encode() + request.body)


def _retry_after_deadlock(attempt: Callable[[], HttpResponse]) -> HttpResponse:
    try:
        return attempt()
    except OperationalError as error:
        if not isinstance(error.__cause__, DeadlockDetected):
            raise
        sleep(DEADLOCK_PAUSE_SECONDS)
        return attempt()


def _render_to_bytes(response: Response) -> HttpResponse:
    content = b"" if response.data is None else JSONRenderer().render(response.data)
    media_type = "application/json" if content else None
    rendered = HttpResponse(content, status=response.status_code, content_type=media_type)
    for name in ("ETag", "Location"):
        if name in response:
            rendered[name] = response[name]
    return rendered
