"""Examples for the OpenAPI document, after the specification's own. An object has one id in all apps' examples."""

NEW_PLAN = {"slug": "gold", "name": "Gold", "rate_limit": 5000, "quota": 250000, "approval": "manual"}
PLAN_CHANGES = {"quota": 500000}
PLAN = NEW_PLAN | {
    "id": "pln-5t1r9d3c7ykm2w8g",
    "tenant_id": "ten-8fk2m9q0z3xv7hbt",
    "created_at": "2025-01-09T10:20:00Z",
    "updated_at": "2025-01-09T10:20:00Z",
}
NEW_SUBSCRIPTION = {
    "api_id": "api-0c8h1vbn5r2k7wxz",
    "plan": "standard",
    "application": "mobile-app",
    "callback_url": "https://myapp.com/webhook",
}
TERMS = {"rate_limit": 1000, "quota": 50000}
SUBSCRIPTION_CHANGES = {"quota": 100000, "expires_at": "2027-01-01T00:00:00Z"}
SUBSCRIPTION = {
    "id": "sub-4m9q2tfd8s6j3yga",
    "tenant_id": "ten-8fk2m9q0z3xv7hbt",
    "api_id": "api-0c8h1vbn5r2k7wxz",
    "plan": "standard",
    "application": "mobile-app",
    "status": "pending_approval",
    "status_reason": "",
    "api_key": None,
    "callback_url": "https://myapp.com/webhook",
    "rate_limit": 1000,
    "quota": 50000,
    "expires_at": None,
    "created_by": "7937961f-2760-5069-8fc2-e889594225d6",
    "decided_by": None,
    "decided_at": None,
    "created_at": "2025-01-09T10:30:00Z",
    "updated_at": "2025-01-09T10:30:00Z",
}
# Shown once, by the answer that gives the subscription its first callback.
SIGNED_SUBSCRIPTION = SUBSCRIPTION | {"callback_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
