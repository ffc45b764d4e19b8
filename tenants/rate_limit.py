"""The budget of calls that a caller draws on: its tenant's, by tier; the platform's own people have one each."""

from django.conf import settings

from stoa_cp.domain.actors import Actor
from stoa_cp.ratelimit.limiter import RateLimit
from tenants.models import CALLS_PER_HOUR, Tier
from tenants.queries import live_tenant


def rate_limit_of(actor: Actor) -> RateLimit:
    """Return the budget of the first tenant that the token names, so that all of a tenant's tokens count together."""
    if actor.is_platform:
        return RateLimit(f"subject:{actor.id}", settings.STOA_PLATFORM_RATE_LIMIT)
    tenant = live_tenant(actor.tenants[0]) if actor.tenants else None
    if tenant is None:
        return RateLimit(f"subject:{actor.id}", CALLS_PER_HOUR[Tier.FREE])
    return RateLimit(f"tenant:{tenant.id}", tenant.calls_per_hour, tenant=tenant)
