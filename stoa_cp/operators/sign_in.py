"""The login page with a password: how often it may be tried, and the events of what comes of it."""

import unicodedata
from hashlib import sha256
from http import HTTPStatus

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from stoa_cp.domain.errors import ErrorCode
from stoa_cp.net.client_address import client_network
from stoa_cp.operators.audit import record_failure
from stoa_cp.operators.sessions import PASSWORD, begin_session
from stoa_cp.operators.single_sign_on import operator_of
from stoa_cp.ratelimit.limiter import RateLimit, RateLimitStatus, hit
from stoa_cp.rest.problems import Problem, respond


def login(request: HttpRequest) -> HttpResponseBase:
    """Show the login page, or try the password of its form.

    At most ``STOA_LOGIN_RATE_LIMIT`` tries an hour for each client network, and as many for each account from all
    networks together: who guesses may have many addresses. So an attacker can use up an account's tries; its owner then
    signs in at the identity provider. Correct passwords count as well: a limit that a correct password resets can be
    reset by the attacker's own account.
    """
    if request.method == "POST":
        if not settings.STOA_LOCAL_LOGIN:
            return redirect(settings.LOGIN_REDIRECT_URL_FAILURE)  # the page without a form
        exceeded = _exceeded_limit(request)
        if exceeded is not None:
            return respond(Problem(ErrorCode.RATE_LIMITED, headers=exceeded.headers()))
    response = admin.site.login(request, {"is_local_login": settings.STOA_LOCAL_LOGIN})
    if request.method == "POST":
        if response.status_code == HTTPStatus.FOUND:
            begin_session(request, PASSWORD, by=operator_of(request))
        else:
            record_failure(request, _account_of(request), method=PASSWORD)
    return response


def _exceeded_limit(request: HttpRequest) -> RateLimitStatus | None:
    """Count the try, and return the limit that it exceeds, if any."""
    of_network = hit(RateLimit(f"login:{client_network(request)}", settings.STOA_LOGIN_RATE_LIMIT), request)
    if of_network.is_exceeded:
        return of_network  # not counted on the account: one network alone must not use up an account's tries
    name = sha256(_typed_name(request).casefold().encode(errors="replace")).hexdigest()
    of_account = hit(RateLimit(f"login-name:{name}", settings.STOA_LOGIN_RATE_LIMIT), request)
    return of_account if of_account.is_exceeded else None


def _typed_name(request: HttpRequest) -> str:
    """Return the name in the form as Django's form reads it: other spellings of one name must not count apart."""
    return unicodedata.normalize("NFKC", request.POST.get("username", "").strip())


def _account_of(request: HttpRequest) -> str | None:
    name = _typed_name(request).replace("\0", "")  # PostgreSQL takes no NUL
    exists = get_user_model().objects.filter(username=name).exists()
    return name if exists else None
