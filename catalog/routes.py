"""Caches the paths of each tenant's APIs, so that calls to different paths of one API share a cached decision."""

from catalog.routing import RequestTarget
from stoa_cp.caching.cache import Cache, lease
from stoa_cp.db.prepared import fetch_one

# All paths of the tenant at once: whether a path is the longest that matches depends on the others.
FIND_PATHS = """
SELECT tenant.id, array_agg(api.path)
FROM tenants_tenant tenant JOIN catalog_api api ON api.tenant_id = tenant.id AND api.deleted_at IS NULL
WHERE tenant.name = %(tenant)s AND tenant.deleted_at IS NULL
GROUP BY tenant.id
"""

path_cache: Cache[str, frozenset[str]] = Cache()  # by the tenant's name; listed in the settings


def cached_path(target: RequestTarget) -> str | None:
    """Return the path of the API that serves a call; None if there is none, or the paths are not cached."""
    return _longest(target, path_cache.get(target.tenant))


def load_path(target: RequestTarget) -> str | None:
    """Return the path of the API that serves a call, after loading and caching the tenant's paths if need be.

    Return None if there is no such API. Also while this process holds no lease: then no decision may be cached, and the
    path is only needed for its cache key.
    """
    paths = path_cache.get(target.tenant)
    if paths is None and lease.is_held():
        with path_cache.loading(target.tenant) as keep:
            found = fetch_one(FIND_PATHS, {"tenant": target.tenant})
            if found:
                tenant_id, paths = found[0], frozenset(found[1])
                keep(paths, tenant_id)
    return _longest(target, paths)


def _longest(target: RequestTarget, paths: frozenset[str] | None) -> str | None:
    return next((prefix for prefix in target.prefixes if prefix in paths), None) if paths else None
