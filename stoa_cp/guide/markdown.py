"""Turns a page of Markdown into HTML with an anchor at each heading and a table of contents."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.token import Token

# HTML in a page is shown as text. The pages are our own, but then a page can hold nothing that the policy of
# stoa_cp.observability.headers refuses: no script, no style, no frame.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# Pages link to each other as files, so that the links also work where the source is read: `gateways.md#nginx`.
LINK_TO_PAGE = re.compile(r"(?P<topic>[a-z-]+)\.md(?P<anchor>#.*)?")


@dataclass(frozen=True, slots=True)
class Section:
    """A line of the table of contents: a heading of the second level."""

    anchor: str
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    """A page as HTML, and its sections in order."""

    html: SafeString
    sections: tuple[Section, ...]


def render(text: str) -> Document:
    """Return a page of Markdown (CommonMark with tables) as HTML."""
    tokens = MARKDOWN.parse(text)
    _link_to_pages(tokens)
    sections = tuple(_set_anchors(tokens))
    html = MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})
    return Document(mark_safe(html), sections)  # noqa: S308 - markdown-it has escaped the text, and its HTML is off


def _set_anchors(tokens: Sequence[Token]) -> Iterator[Section]:
    """Give each heading an id; yield the sections."""
    used = Counter[str]()
    for heading, inline in pairwise(tokens):
        if heading.type != "heading_open":
            continue
        title = "".join(child.content for child in inline.children or ())
        slug = slugify(title)
        used[slug] += 1
        # Two sections may have the same name, two ids may not.
        anchor = slug if used[slug] == 1 else f"{slug}-{used[slug]}"
        heading.attrSet("id", anchor)
        if heading.tag == "h2":
            yield Section(anchor, title)


def _link_to_pages(tokens: Sequence[Token]) -> None:
    """Let links between files lead to the addresses of the pages."""
    for token in tokens:
        for child in token.children or ():
            target = LINK_TO_PAGE.fullmatch(str(child.attrGet("href") or ""))
            if target:
                child.attrSet("href", f"/guide/{target['topic']}{target['anchor'] or ''}")
