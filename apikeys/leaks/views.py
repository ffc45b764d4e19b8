"""The endpoint for reports of leaked keys. It is outside ``/v1``: its caller has a signature instead of a token."""

from django.conf import settings
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt

from apikeys.leaks import github
from apikeys.services.leaks import report_leaks
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.ratelimit.limiter import RateLimited, count_or_refuse, rate_limit_of
from stoa_cp.rest.problems import Detail, Problem, respond, respond_to


@csrf_exempt  # no browser and no session: the signature is over the whole body
def github_alert(request: HttpRequest) -> JsonResponse:
    """Answer ``POST /leaks/github``: tell which of the reported strings are keys, after each key was dealt with."""
    if not settings.STOA_LEAK_KEYS:
        raise Http404
    if request.method != "POST":
        refused = Detail("", str(_("Only POST is allowed.")), "method_not_allowed")
        return respond(Problem(ErrorCode.VALIDATION_ERROR, (refused,), headers={"Allow": "POST"}))
    try:
        github.check_signature(request.headers, request.body, settings.STOA_LEAK_KEYS)
    except DomainError as refusal:
        return _refuse_forgery(request, refusal)
    try:
        leaks = github.read_alert(request.body)
    except DomainError as refusal:
        return respond_to(refusal)
    answers = [github.feedback(leak, is_real=is_real) for leak, is_real in zip(leaks, report_leaks(leaks), strict=True)]
    return JsonResponse(answers, safe=False)


def _refuse_forgery(request: HttpRequest, refusal: DomainError) -> JsonResponse:
    # Only forgeries count on the limit of their address: GitHub may have many keys to report.
    try:
        count_or_refuse(rate_limit_of(None, request), request)
    except RateLimited as limited:
        return respond_to(limited)
    return respond_to(refusal)
