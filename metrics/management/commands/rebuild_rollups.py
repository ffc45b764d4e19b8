"""``manage.py rebuild_rollups --since 2025-01-01 --until 2025-01-31``: checks rollups, and repairs them."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metrics.rollups.rebuild import rebuild_day


class Command(BaseCommand):
    """Recomputes the rollups of some days and reports each difference. Exits with 1 if one is left."""

    help = "Recompute hours from minutes and days from hours, and report any difference. There must be none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", type=date.fromisoformat, help="first day, UTC (default: yesterday)")
        parser.add_argument("--until", type=date.fromisoformat, help="last day, UTC, inclusive (default: today)")
        parser.add_argument("--repair", action="store_true", help="store what was recomputed where it differs")

    def handle(self, *, since: date | None, until: date | None, repair: bool, **_options: Any) -> None:
        last = until or timezone.now().date()
        first = since or last - timedelta(days=1)
        found = 0
        # One transaction for each day: nothing is folded meanwhile, and the unfolded tail grows.
        for number in range((last - first).days + 1):
            day = datetime.combine(first + timedelta(days=number), time.min, UTC)
            for difference in rebuild_day(day, repair=repair):
                found += 1
                self.stdout.write(
                    f"{difference.resolution} {difference.bucket:%Y-%m-%dT%H:%MZ}, series {difference.series_id}:"
                    f" {difference.stored} requests stored, {difference.recomputed} recomputed"
                )
        if found and not repair:
            raise CommandError(f"{found} differences from {first} to {last}; --repair stores what was recomputed.")
        self.stdout.write(f"{found} differences from {first} to {last}{', repaired' if found else ''}.")
