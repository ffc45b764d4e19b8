"""The page that Prometheus scrapes."""

from ipaddress import ip_address

from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from rest_framework.request import Request

from catalog.authentication import GatewayAuthentication
from stoa_cp.backlogs import BacklogCollector
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.permissions import require
from stoa_cp.net.client_address import client_address
from stoa_cp.observability.metrics import process_registry
from stoa_cp.rest.problems import Problem, problem_of, respond


def prometheus(request: HttpRequest) -> HttpResponse:
    """Answer in Prometheus' text format to loopback, to a gateway's token and to the platform's people."""
    try:
        if not _comes_from_this_machine(request):
            actor, _none = GatewayAuthentication().authenticate(Request(request))
            require(actor, "monitoring:read")
    except DomainError as refusal:
        return respond(problem_of(refusal) or Problem(ErrorCode.INTERNAL_ERROR))
    backlog = CollectorRegistry()
    backlog.register(BacklogCollector())
    text = generate_latest(process_registry()) + generate_latest(backlog)
    return HttpResponse(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _comes_from_this_machine(request: HttpRequest) -> bool:
    """A proxy on this machine is not the caller, whether or not it is a trusted one."""
    is_forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    return not is_forwarded and ip_address(client_address(request)).is_loopback
