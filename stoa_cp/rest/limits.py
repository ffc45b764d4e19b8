"""How large a request body may be, by the path that it is sent to."""

from django.conf import settings

API_PREFIX = "/v1/"
# GatewayMiddleware answers these before ApiMiddleware does: gateways bring their own credential, and are not counted.
GATEWAY_PREFIX = "/v1/gateway/"
LEAKS_PREFIX = "/leaks/"
VERIFY_PATH, TRAFFIC_PATH = f"{GATEWAY_PREFIX}keys/verify", f"{GATEWAY_PREFIX}traffic"


def body_limit(path: str) -> int | None:
    """Return the largest number of bytes that a body may have; None where the body is not ours to read."""
    if path.startswith(f"{GATEWAY_PREFIX}authorize"):
        return None  # the body is the original call's, and no view reads it
    if path == TRAFFIC_PATH:
        return int(settings.STOA_MAX_TRAFFIC_BODY_BYTES)  # thousands of records in one request
    if path.startswith(LEAKS_PREFIX):
        return int(settings.STOA_MAX_LEAK_REPORT_BYTES)
    return int(settings.STOA_MAX_BODY_BYTES)
