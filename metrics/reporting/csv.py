"""Metrics as a table for spreadsheets (RFC 4180)."""

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Any

from rest_framework.renderers import BaseRenderer


class CsvRenderer(BaseRenderer):
    """Writes the lines of a metrics answer under a row of their names; what stands beside them is left out."""

    media_type = "text/csv"
    format = "csv"

    def render(
        self,
        data: Mapping[str, Any],
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        table = StringIO()
        names = list(data["metrics"][0]) if data["metrics"] else ["date", *data["totals"]]
        writer = csv.DictWriter(table, names)
        writer.writeheader()
        writer.writerows(data["metrics"])
        return table.getvalue().encode()
