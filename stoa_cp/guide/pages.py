"""The pages of the guide: which there are, and what each says."""

from dataclasses import dataclass
from functools import cache

from django.conf import settings

GUIDE_DIR = settings.BASE_DIR / "templates" / "guide"
SUFFIX = ".md"


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is written. Its first line is its title: ``# Run it for real``."""

    topic: str
    text: str

    @property
    def title(self) -> str:
        return self.text.splitlines()[0].removeprefix("# ")


@cache
def topics() -> tuple[str, ...]:
    """Return the names of all pages in the order of the alphabet: ``("change-something", "design-notes", …)``."""
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in GUIDE_DIR.glob(f"*{SUFFIX}")))


@cache
def read_page(topic: str) -> Page:
    """Return the page of a topic. Raises KeyError if there is no such page."""
    # A topic comes from the address of a request. Compared with the list, it never becomes a part of another path.
    if topic not in topics():
        raise KeyError(topic)
    return Page(topic, (GUIDE_DIR / f"{topic}{SUFFIX}").read_text())
