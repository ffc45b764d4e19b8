"""Limits how often the password form of the console can be tried, per client address."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from stoa_cp.domain.errors import ErrorCode
from stoa_cp.net.client_address import client_network
from stoa_cp.ratelimit.limiter import RateLimit, hit
from stoa_cp.rest.problems import Problem, respond


def limit_logins(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate the login view: at most ``STOA_LOGIN_RATE_LIMIT`` POSTs an hour for each client address.

    Correct passwords count as well: a limit that a correct password resets can be reset by the attacker's own account.
    The limit is per address and not per user name, or anyone could lock operators out.
    """

    @wraps(view)
    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST":
            rate_limit = RateLimit(f"login:{client_network(request)}", settings.STOA_LOGIN_RATE_LIMIT)
            status = hit(rate_limit, request)
            if status.is_exceeded:
                return respond(Problem(ErrorCode.RATE_LIMITED, headers=status.headers()))
        return view(request, *args, **kwargs)

    return limited
