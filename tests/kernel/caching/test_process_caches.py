"""Every cache of this process is listed: one that is not would never be invalidated."""

import sys
from collections.abc import Iterator

from django.apps import apps
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from stoa_cp.caching.cache import Cache, ProcessCache, process_caches


def existing_caches() -> Iterator[tuple[str, ProcessCache]]:
    """Return the caches among the attributes of the modules of the product, with their dotted paths."""
    get_wsgi_application()
    assert get_resolver().url_patterns  # loads every view, and what it needs
    products = {config.name for config in apps.get_app_configs()}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in products:
            for attribute, value in list(vars(module).items()):
                if isinstance(value, ProcessCache):
                    yield f"{name}.{attribute}", value


def test_every_cache_is_listed() -> None:
    forgotten = [path for path, cache in existing_caches() if cache not in process_caches()]
    assert forgotten == []


def test_none_is_listed_twice() -> None:
    assert len({id(cache) for cache in process_caches()}) == len(process_caches()) > 0


def test_a_cache_that_is_not_listed_is_found() -> None:
    forgotten: Cache[str, int] = Cache()
    vars(sys.modules["catalog.routes"])["forgotten"] = forgotten
    try:
        assert ("catalog.routes.forgotten", forgotten) in list(existing_caches())
    finally:
        del vars(sys.modules["catalog.routes"])["forgotten"]
