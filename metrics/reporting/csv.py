"""The media type of metrics as CSV, for spreadsheets; ``render.stream_csv`` writes them."""

from rest_framework.renderers import BaseRenderer


class CsvRenderer(BaseRenderer):
    """Lets a client choose CSV by ``Accept`` or ``?format=``. It renders nothing: errors are JSON."""

    media_type = "text/csv"
    format = "csv"
