"""YAML files that are longer than memory: what there is one of per API or subscription is written in portions.

A *section* is a list or a mapping with entries per API, such as Envoy's ``clusters``. One pass over the APIs writes all
sections of a file, each to a temporary file: read once per section, an API that is created in between would be a route
without a cluster, and Envoy refuses such a file as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import IO, Any, TypeVar

import yaml

from stoa_cp.db.portions import batched

Item = TypeVar("Item")
# An item's part of a section: of a list, of a mapping, or as lines of YAML already.
Entries = list[Any] | dict[str, Any] | str

# libyaml is in every wheel of PyYAML, and several times as fast as its twin in Python.
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
# A portion's YAML takes some hundred times the memory of its items while it is made.
ITEMS_AT_ONCE = 100
BYTES_IN_MEMORY = 1 << 18  # of each section; the rest is on the disk


class Section:
    """Entries that are written already. ``as_list`` or ``as_mapping`` marks their place in the rest of the file."""

    def __init__(self, name: str) -> None:
        self.marker = f"stoa-section-{name}"
        self.file: IO[str] = SpooledTemporaryFile(BYTES_IN_MEMORY, "w+", encoding="utf-8")  # noqa: SIM115 - read later
        self.is_empty = True

    def write(self, entries: list[Entries]) -> None:
        """Append the entries of some items, which are all of one kind."""
        self.is_empty = False
        self.file.writelines(each for each in entries if isinstance(each, str))
        if listed := [entry for each in entries if isinstance(each, list) for entry in each]:
            self.file.write(_dump(listed))
        if named := {name: entry for each in entries if isinstance(each, dict) for name, entry in each.items()}:
            self.file.write(_dump(named))

    @property
    def as_list(self) -> list[str]:
        return [] if self.is_empty else [self.marker]

    @property
    def as_mapping(self) -> dict[str, Any]:
        return {} if self.is_empty else {self.marker: None}

    def lines(self, indentation: str) -> Iterator[str]:
        """Yield the entries as lines."""
        self.file.seek(0)
        for line in self.file:
            # An empty line may be a part of a text. Blanks at its end would be, too.
            yield line if line == "\n" else indentation + line


def write_sections(items: Iterable[Item], **sections: Callable[[Item], Entries]) -> dict[str, Section]:
    """Read the items once, and return the sections: the named function returns an item's entries in each."""
    written = {name: Section(name) for name in sections}
    for portion in batched(items, ITEMS_AT_ONCE):
        for name, entries_of in sections.items():
            written[name].write([entries_of(item) for item in portion])
    return written


def stream_yaml(document: Mapping[str, Any], comment: str, sections: Mapping[str, Section]) -> Iterator[str]:
    """Yield a YAML file that begins with ``comment``, as comment lines; the sections stand at their marks.

    Closes the sections' files.
    """
    places = {mark: each for each in sections.values() for mark in (f"- {each.marker}", f"{each.marker}: null")}
    yield "".join(f"# {line}".rstrip() + "\n" for line in comment.strip().splitlines())
    with ExitStack() as files:
        for section in sections.values():
            files.enter_context(section.file)
        for line in _dump(dict(document)).splitlines(keepends=True):
            place = places.get(line.strip())
            if place is None:
                yield line
            else:
                yield from place.lines(line[: len(line) - len(line.lstrip())])


def _dump(entries: list[Any] | dict[str, Any]) -> str:
    # In the order of insertion, which is how the programs' manuals write it; and no folded lines, for people to search
    # in.
    text: str = yaml.dump(entries, Dumper=DUMPER, sort_keys=False, width=1000, allow_unicode=True)
    return text
