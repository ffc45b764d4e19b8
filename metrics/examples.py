"""Examples for the OpenAPI document."""

from drf_spectacular.utils import OpenApiExample

_DAY = {"requests": 45231, "errors": 23, "p50_latency_ms": 87, "p95_latency_ms": 234, "p99_latency_ms": 456}

METRICS = OpenApiExample(
    "By day",
    value={
        "metrics": [{"date": "2025-01-09"} | _DAY],
        "granularity": "day",
        "start_date": "2025-01-01",
        "end_date": "2025-01-31",
        "totals": _DAY,
        "percentile_relative_error": 0.01,
    },
    response_only=True,
    media_type="application/json",
)
METRICS_TABLE = OpenApiExample(
    "As a table",
    value="date,requests,errors,p50_latency_ms,p95_latency_ms,p99_latency_ms\r\n2025-01-09,45231,23,87,234,456\r\n",
    response_only=True,
    media_type="text/csv",
)
USAGE = {
    "subscription_id": "sub-4m9q2tfd8s6j3yga",
    "period": {"start": "2025-01-01", "end": "2025-01-31"},
    "requests": 30127,
    "errors": 4,
    "rate_limit": {"limit": 1000, "remaining": 873, "reset": 1736420400},
    "quota": {"limit": 50000, "used": 30127, "remaining": 19873, "resets_at": "2025-02-01T00:00:00Z"},
    "last_request_at": "2025-01-09T10:15:00Z",
}
TENANT_USAGE = USAGE | {
    "application": "mobile-app",
    "api_id": "api-0c8h1vbn5r2k7wxz",
    "plan": "standard",
    "status": "active",
}
TRAFFIC_BATCH = OpenApiExample(
    "Two calls",
    value={
        "batch_id": "edge-1-000042",
        "records": [
            {
                "timestamp": "2025-01-09T10:15:00.127Z",
                "api_id": "api-0c8h1vbn5r2k7wxz",
                "subscription_id": "sub-4m9q2tfd8s6j3yga",
                "status": 200,
                "latency_ms": 87,
                "bytes": 5120,
            },
            {
                "timestamp": "2025-01-09T10:15:00.310Z",
                "api_id": "api-0c8h1vbn5r2k7wxz",
                "subscription_id": None,
                "status": 502,
                "latency_ms": 30012.5,
            },
        ],
    },
    request_only=True,
    media_type="application/json",
)
RECEIPT = OpenApiExample(
    "One of them was late",
    value={
        "accepted": 1,
        "duplicate": False,
        "refused": [
            {"index": 1, "code": "too_old", "message": "Records older than 48 hours are not counted any more."}
        ],
    },
    response_only=True,
)
