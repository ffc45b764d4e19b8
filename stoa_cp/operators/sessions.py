"""Services for sessions of the console: begin, and end one or all of a person."""

import time

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest

from stoa_cp.domain.actors import SYSTEM, Actor
from stoa_cp.domain.errors import NotFound
from stoa_cp.eventlog.emit import PLATFORM_LOG, emit
from stoa_cp.net.client_address import client_address
from stoa_cp.operators.event_types import OperatorEvent
from stoa_cp.operators.models import MAX_USER_AGENT_CHARS, OperatorSession
from stoa_cp.operators.session_store import ADDRESS, SIGNED_IN_AT, USER_AGENT

PASSWORD, SINGLE_SIGN_ON = "password", "single_sign_on"


def begin_session(request: HttpRequest, method: str, *, by: Actor) -> None:
    """Note in the session, which is signed in already, since when and from where it is used, and append the event.

    ``method`` is PASSWORD or SINGLE_SIGN_ON.
    """
    request.session[SIGNED_IN_AT] = time.time()
    request.session[ADDRESS] = client_address(request)
    request.session[USER_AGENT] = request.headers.get("User-Agent", "")[:MAX_USER_AGENT_CHARS]
    with transaction.atomic():
        data = {"username": request.user.get_username(), "method": method}
        emit(OperatorEvent.SIGNED_IN, tenant_id=PLATFORM_LOG, actor=by, data=data)


@transaction.atomic
def record_sign_out(user: User, *, by: Actor) -> None:
    """Append the event of a person who signs out; the view ends the session."""
    emit(OperatorEvent.SIGNED_OUT, tenant_id=PLATFORM_LOG, actor=by, data={"username": user.get_username()})


@transaction.atomic
def end_session(session: OperatorSession, *, by: Actor) -> None:
    """End a session at once: the next request with its cookie is a stranger's. Raises NotFound if it has ended."""
    # One statement that finds and deletes: of two who end it at once, the second deletes nothing and logs nothing.
    deleted, _of_models = OperatorSession.objects.filter(pk=session.pk).delete()
    if not deleted:
        raise NotFound
    _emit_ended(session, by=by)


@transaction.atomic
def end_provider_sessions(user: User | None, provider_session: str) -> int:
    """End the sessions that an identity provider has ended, and return their number.

    Those that began with its session ``provider_session`` (``sid``); if that is "", all of ``user``, who may be None
    if the provider named a person without an account here.
    """
    named = {"provider_session": provider_session} if provider_session else {"user": user}
    sessions = OperatorSession.objects.select_related("user").exclude(user=None).filter(**named)
    # Locked, so that each has one event, also if an operator ends one of them at this moment.
    ended = list(sessions.select_for_update(of=("self",)))
    OperatorSession.objects.filter(pk__in=[session.pk for session in ended]).delete()
    for session in ended:
        _emit_ended(session, by=SYSTEM)
    return len(ended)


def _emit_ended(session: OperatorSession, *, by: Actor) -> None:
    data = {
        "username": session.user.get_username() if session.user else None,
        "address": session.address,
        "signed_in_at": session.signed_in_at.isoformat() if session.signed_in_at else None,
    }
    emit(OperatorEvent.SESSION_ENDED, tenant_id=PLATFORM_LOG, actor=by, data=data)
