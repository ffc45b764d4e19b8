"""Names the series that requests are added to: their subscription's, their API's and their tenant's."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from metrics.models import Dimension

ENTER_SERIES = """
INSERT INTO metrics_series (tenant_id, grain, api_id, subscription_id, last_request_at)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
ON CONFLICT (tenant_id, grain, api_id, subscription_id)
    DO UPDATE SET last_request_at = greatest(metrics_series.last_request_at, excluded.last_request_at)
RETURNING tenant_id, grain, api_id, subscription_id, id
"""


class Source(NamedTuple):
    """Whose requests a delta counts: one subscription's to one API, or those to an API without any."""

    tenant_id: str
    api_id: str
    subscription_id: str | None

    def owner(self, grain: Dimension) -> tuple[str, str, str | None, str | None]:
        """Return what identifies the source's series at this grain, in the order of its columns."""
        match grain:
            case Dimension.TENANT:
                return self.tenant_id, grain.value, None, None
            case Dimension.API:
                return self.tenant_id, grain.value, self.api_id, None
            case Dimension.SUBSCRIPTION:
                return self.tenant_id, grain.value, self.api_id, self.subscription_id


def get_or_create_series(last_request_at: Mapping[Source, datetime]) -> dict[Source, dict[Dimension, int]]:
    """Return the ids of the series that each source adds to. New ones are made; the dates only move forward."""
    latest: dict[tuple[str, str, str | None, str | None], datetime] = {}
    for source, moment in last_request_at.items():
        for grain in Dimension:
            owner = source.owner(grain)
            latest[owner] = max(moment, latest.get(owner, moment))
    columns = [list(column) for column in zip(*latest, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(ENTER_SERIES, [*columns, list(latest.values())])
        ids = {tuple(owner): series_id for *owner, series_id in cursor.fetchall()}
    return {source: {grain: ids[source.owner(grain)] for grain in Dimension} for source in last_request_at}
