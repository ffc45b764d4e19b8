"""The one envelope in which every error leaves the service. Only this module knows the HTTP status of an error."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions as drf
from rest_framework.response import Response
from structlog.contextvars import get_contextvars

from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.authentication import AuthenticationTooWeak

logger = structlog.get_logger(__name__)

STATUSES: Mapping[ErrorCode, int] = {
    ErrorCode.VALIDATION_ERROR: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INTERNAL_ERROR: 500,
}
# A detail may have a more precise status than its code.
DETAIL_STATUSES: Mapping[str, int] = {
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "length_required": 411,
    "precondition_failed": 412,
    "too_large": 413,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 422,
    "headers_too_large": 431,
    "unavailable": 503,
}
# A body of 256 KiB has room for 60,000 wrong fields, whose details would be an answer of 40 MB.
MAX_DETAILS = 20
RETRY_AFTER_UNAVAILABLE_SECONDS = 2  # a database that fails over or restarts is back within seconds as a rule
# The message of these codes is always the specification's own sentence; the cause stands in ``details`` only. It is a
# security property: a message written for one refusal must not tell callers more than every other 401 or 403 does,
# and a crash tells them nothing.
GENERIC_CODES = frozenset(
    {ErrorCode.VALIDATION_ERROR, ErrorCode.UNAUTHORIZED, ErrorCode.FORBIDDEN, ErrorCode.INTERNAL_ERROR}
)


@dataclass(frozen=True, slots=True)
class Detail:
    """One line of ``error.details``."""

    field: str
    message: str
    code: str


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is sent: the members of the envelope, and its headers."""

    code: ErrorCode
    details: tuple[Detail, ...] = ()
    headers: Mapping[str, str] | None = None
    message: str | Promise = ""

    @property
    def status(self) -> int:
        for detail in self.details:
            if detail.code in DETAIL_STATUSES:
                return DETAIL_STATUSES[detail.code]
        return STATUSES[self.code]

    def envelope(self) -> dict[str, Any]:
        error = {
            "code": self.code,
            "message": str(self.message or self.code.label),
            "details": [asdict(detail) for detail in self.details[:MAX_DETAILS]],
            "request_id": get_contextvars().get("request_id"),
        }
        if len(self.details) > MAX_DETAILS:
            error["details_omitted"] = len(self.details) - MAX_DETAILS
        return {"error": error}

    def all_headers(self) -> dict[str, str]:
        headers = dict(self.headers or {})
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = self._challenge()
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.setdefault("Retry-After", str(RETRY_AFTER_UNAVAILABLE_SECONDS))
        return headers

    def _challenge(self) -> str:
        """Return the challenge of RFC 6750 §3, without an error code where no token was sent, or of RFC 9470 §3."""
        if any(detail.code == "token_missing" for detail in self.details):
            return 'Bearer realm="stoa"'
        if any(detail.code == AuthenticationTooWeak.detail_code for detail in self.details):
            wanted = " ".join(settings.STOA_OIDC_REQUIRED_ACR)
            return f'Bearer realm="stoa", error="{AuthenticationTooWeak.detail_code}", acr_values="{wanted}"'
        return 'Bearer realm="stoa", error="invalid_token"'


def problem_of(error: Exception) -> Problem | None:
    """Return the problem that tells a client of an exception; None for an exception that is a fault of this service."""
    match error:
        case DomainError():
            return _of_domain_error(error)
        case drf.ValidationError():
            return Problem(ErrorCode.VALIDATION_ERROR, tuple(_flatten(error.get_full_details())))
        case Http404() | drf.NotFound():
            return Problem(ErrorCode.NOT_FOUND)
        case PermissionDenied() | drf.PermissionDenied():
            return Problem(ErrorCode.FORBIDDEN, (Detail("", str(ErrorCode.FORBIDDEN.label), "missing_role"),))
        case drf.AuthenticationFailed() | drf.NotAuthenticated():
            return Problem(ErrorCode.UNAUTHORIZED, (Detail("", str(ErrorCode.UNAUTHORIZED.label), "token_missing"),))
        case drf.APIException() if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            return Problem(ErrorCode.VALIDATION_ERROR, (Detail("", str(error.detail), str(error.default_code)),))
        case OperationalError() | InterfaceError():
            logger.warning("database_unavailable", exc_info=error)
            return Problem(ErrorCode.INTERNAL_ERROR, (Detail("", str(_("Try again in a moment.")), "unavailable"),))
        case _:
            return None


def _of_domain_error(error: DomainError) -> Problem:
    """Return the problem of a refusal: its code alone if it has no sentence, else also one detail with the sentence."""
    wait = error.retry_after_seconds
    headers = None if wait is None else {"Retry-After": str(wait)}
    if not error.message and not error.detail_code:
        return Problem(error.code, headers=headers)
    sentence = str(error.message or error.code.label)
    is_generic = error.code in GENERIC_CODES or (error.detail_code == "duplicate")
    return Problem(
        error.code,
        (Detail(error.field, sentence, error.detail_code),),
        headers=headers,
        message="" if is_generic else sentence,
    )


def _flatten(tree: Any, path: str = "") -> Iterator[Detail]:
    """Turn DRF's tree of errors into lines with dotted paths: ``settings.rate_limit_multiplier``, ``events.0``."""
    if isinstance(tree, Mapping) and "message" in tree and "code" in tree and not isinstance(tree["code"], dict | list):
        yield Detail(path, str(tree["message"]), str(tree["code"]))
    elif isinstance(tree, Mapping):
        for key, branch in tree.items():
            own = "" if key == "non_field_errors" else str(key)
            yield from _flatten(branch, f"{path}.{own}".strip("."))
    else:
        for branch in tree:
            yield from _flatten(branch, path)


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer for an exception inside a view (DRF's ``EXCEPTION_HANDLER``)."""
    problem = problem_of(error)
    if problem is None:
        return None
    headers = problem.all_headers()
    if isinstance(error, drf.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    return Response(problem.envelope(), status=problem.status, headers=headers)


def respond(problem: Problem) -> JsonResponse:
    """Answer outside the REST framework."""
    return JsonResponse(problem.envelope(), status=problem.status, headers=problem.all_headers())


def respond_to(error: Exception) -> JsonResponse:
    """Answer for an exception outside the REST framework. A fault of this service is a 500 that tells nothing."""
    return respond(problem_of(error) or Problem(ErrorCode.INTERNAL_ERROR))


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's ``handler400``: a bad Host, a NUL in the path, a body over the limit."""
    return respond(Problem(ErrorCode.VALIDATION_ERROR))


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's ``handler403``."""
    return respond(Problem(ErrorCode.FORBIDDEN))


def csrf_failure(request: HttpRequest, reason: str = "") -> JsonResponse:
    """Django's ``CSRF_FAILURE_VIEW``."""
    return respond(Problem(ErrorCode.FORBIDDEN, (Detail("", reason, "csrf"),)))


def page_not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's ``handler404``: an unknown route, or a known one with a trailing slash."""
    return respond(Problem(ErrorCode.NOT_FOUND))


def server_error(request: HttpRequest) -> JsonResponse:
    """Django's ``handler500``. The answer never tells the cause; the log has it under the same request id."""
    error = sys.exc_info()[1]
    return respond_to(error if isinstance(error, Exception) else RuntimeError())
