"""Print a page of the guide."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from stoa_cp.guide.pages import read_page, topics


class Command(BaseCommand):
    """Print one page, or the list of all. A page is printed as it is written: Markdown is plain text already."""

    help = "Print a page of the guide, or the list of its pages."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("topic", nargs="?", choices=topics(), help="the page; without it, the list of all pages")

    def handle(self, *, topic: str | None, **_options: Any) -> None:
        if topic:
            self.stdout.write(read_page(topic).text)
            return
        width = max(map(len, topics()))
        for name in topics():
            self.stdout.write(f"{name:{width}}  {read_page(name).title}")
