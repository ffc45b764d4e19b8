"""A metrics answer as CSV (RFC 4180), for spreadsheets."""

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Any

from rest_framework.renderers import BaseRenderer


class CsvRenderer(BaseRenderer):
    """Writes a header and one row for each point. The totals and the range are left out: they are no rows."""

    media_type = "text/csv"
    format = "csv"

    def render(
        self,
        data: Mapping[str, Any],
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        table = StringIO()
        # Without points there is still a header, so that a spreadsheet can import the file.
        names = list(data["metrics"][0]) if data["metrics"] else ["date", *data["totals"]]
        writer = csv.DictWriter(table, names)
        writer.writeheader()
        writer.writerows(data["metrics"])
        return table.getvalue().encode()
