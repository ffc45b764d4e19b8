"""The guide in a browser: a list of its pages, and each page."""

from functools import cache

from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string

from stoa_cp.guide.markdown import render
from stoa_cp.guide.pages import read_page, topics

HEADERS = {
    # A page changes with a release only. Five minutes spare the reader's clicks back and forth, and are short enough
    # that the reader of an old page soon sees the new one.
    "Cache-Control": "public, max-age=300",
    "Content-Language": "en",  # in whatever language the client prefers: the guide has no translation
}


def index(request: HttpRequest) -> HttpResponse:
    """List the pages."""
    return HttpResponse(_render_index(), headers=HEADERS)


def page(request: HttpRequest, topic: str) -> HttpResponse:
    """Show the page of a topic, or answer 404."""
    try:
        html = _render_page(topic)
    except KeyError as error:
        raise Http404 from error
    return HttpResponse(html, headers=HEADERS)


@cache
def _render_index() -> str:
    return render_to_string("guide/index.html", {"pages": [read_page(topic) for topic in topics()]})


@cache  # holds no more than there are pages: an unknown topic raises, and what raises is not kept
def _render_page(topic: str) -> str:
    page = read_page(topic)
    return render_to_string("guide/page.html", {"page": page, "document": render(page.text)})
