"""The rate limit of a caller: its tenant's, by tier. Callers of the platform have one each.

In a file of its own, because a setting names the function by its path: the kernel imports no app.
"""

from django.conf import settings

from stoa_cp.domain.actors import Actor
from stoa_cp.ratelimit.limiter import RateLimit
from tenants.models import CALLS_PER_HOUR, Tier
from tenants.queries import live_tenant


def rate_limit_of(actor: Actor) -> RateLimit:
    """Return the limit of the first tenant that the token names. All tokens of one tenant count together."""
    if actor.is_platform:
        return RateLimit(f"subject:{actor.id}", settings.STOA_PLATFORM_RATE_LIMIT)
    # A token without a live tenant gets the smallest limit, for itself alone: it must not use up a tenant's.
    tenant = live_tenant(actor.tenants[0]) if actor.tenants else None
    if tenant is None:
        return RateLimit(f"subject:{actor.id}", CALLS_PER_HOUR[Tier.FREE])
    return RateLimit(f"tenant:{tenant.id}", tenant.calls_per_hour, tenant=tenant)
