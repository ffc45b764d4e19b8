"""Remembers the paths of a tenant's APIs, so that calls to different paths below one API are the same question."""

from catalog.routing import RequestTarget
from stoa_cp.caching.cache import Cache, lease
from stoa_cp.db.prepared import fetch_one

FIND = """
SELECT tenant.id, array_agg(api.path)
FROM tenants_tenant tenant JOIN catalog_api api ON api.tenant_id = tenant.id AND api.deleted_at IS NULL
WHERE tenant.name = %(tenant)s AND tenant.deleted_at IS NULL
GROUP BY tenant.id
"""

path_cache: Cache[str, frozenset[str]] = Cache()  # by the tenant's name; listed in the settings


def cached_path(target: RequestTarget) -> str | None:
    """Return the path of the API that serves a call, if this process remembers it."""
    return _longest(target, path_cache.get(target.tenant))


def load_path(target: RequestTarget) -> str | None:
    """Return the path of the API that serves a call, where remembering is allowed; None also if there is none."""
    paths = path_cache.get(target.tenant)
    if paths is None and lease.is_held():
        with path_cache.loading(target.tenant) as keep:
            found = fetch_one(FIND, {"tenant": target.tenant})
            if found:
                tenant_id, paths = found[0], frozenset(found[1])
                keep(paths, tenant_id)
    return _longest(target, paths)


def _longest(target: RequestTarget, paths: frozenset[str] | None) -> str | None:
    return next((prefix for prefix in target.prefixes if prefix in paths), None) if paths else None
