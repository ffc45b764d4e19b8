"""Examples for the OpenAPI document, after the specification's own."""

NEW_API = {
    "name": "payment-api",
    "description": "Payment processing",
    "upstream_url": "https://api.payments.example.com",
    "path": "/payments",
    "version": "v1",
    "auth_required": True,
    "rate_limit": {"requests_per_hour": 1000},
}
API_CHANGES = {"rate_limit": {"requests_per_hour": 2000}}
API = NEW_API | {
    "id": "api-0c8h1vbn5r2k7wxz",
    "tenant_id": "ten-8fk2m9q0z3xv7hbt",
    "public_url": "https://gateway.example.com/acme/payments",
    "openapi_url": "",
    "status": "active",
    "deprecated_at": None,
    "sunset_at": None,
    "created_at": "2025-01-09T10:15:00Z",
    "updated_at": "2025-01-09T10:15:00Z",
}
