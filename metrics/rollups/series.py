"""Finds or creates the series that requests are added to: of their subscription, their API and their tenant."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from metrics.models import TEST_DIMENSIONS, Dimension

# DO UPDATE instead of DO NOTHING: it moves `last_request_at`, and RETURNING gives the ids of existing rows too.
# `greatest`, because a gateway may report an older call after a newer one.
UPSERT_SERIES = """
INSERT INTO metrics_series (tenant_id, grain, api_id, subscription_id, last_request_at)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
ON CONFLICT (tenant_id, grain, api_id, subscription_id)
    DO UPDATE SET last_request_at = greatest(metrics_series.last_request_at, excluded.last_request_at)
RETURNING tenant_id, grain, api_id, subscription_id, id
"""

# (tenant id, dimension, API id, subscription id): the unique columns of a series, in the order of the statement
SeriesKey = tuple[str, str, str | None, str | None]


class Source(NamedTuple):
    """Whose requests a delta counts: one subscription's of one mode, or an API's calls without a key."""

    tenant_id: str
    api_id: str
    subscription_id: str | None
    mode: str

    def series_key(self, dimension: Dimension) -> SeriesKey:
        """Return the key of the series that adds up this source's requests in this dimension, one of live calls."""
        stored = dimension.in_mode(self.mode).value
        match dimension:
            case Dimension.TENANT:
                return self.tenant_id, stored, None, None
            case Dimension.API:
                return self.tenant_id, stored, self.api_id, None
            case _:
                return self.tenant_id, stored, self.api_id, self.subscription_id


def get_or_create_series(last_request_at: Mapping[Source, datetime]) -> dict[Source, dict[Dimension, int]]:
    """Return the ids of the series of each source, by dimension. The caller holds the rollup lock.

    Missing series are created. ``last_request_at`` of a series only moves forward.
    """
    latest: dict[SeriesKey, datetime] = {}
    for source, moment in last_request_at.items():
        for dimension in TEST_DIMENSIONS:
            key = source.series_key(dimension)
            latest[key] = max(moment, latest.get(key, moment))
    columns = [list(column) for column in zip(*latest, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(UPSERT_SERIES, [*columns, list(latest.values())])
        ids = {tuple(key): series_id for *key, series_id in cursor.fetchall()}
    return {
        source: {dimension: ids[source.series_key(dimension)] for dimension in TEST_DIMENSIONS}
        for source in last_request_at
    }
