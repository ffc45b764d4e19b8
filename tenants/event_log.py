"""How event logs and their heads are read over REST: in the order of commits, filtered by type, from a cursor onwards.

The filter and the pagination of ``EventViewSet``, the pages of ``HeadViewSet``. They stand alone, because every other
list has others: newest first, by page, filtered by fields.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.filters import BaseFilterBackend
from rest_framework.pagination import BasePagination
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from stoa_cp.domain.errors import InvalidField
from stoa_cp.eventlog.models import EventChain
from stoa_cp.eventlog.reading import read_events
from stoa_cp.rest.pagination import DEFAULT_LIMIT, MAX_LIMIT
from stoa_cp.rest.parameters import check_query_parameters, positive_parameter, query_parameter

PARAMETERS = frozenset({"after", "limit", "type"})
# A type such as subscription.approved, a family such as subscription.*, or *. The pattern does not name the types that
# exist: the log holds events of older releases too, whose types may be gone.
TYPE_PATTERN = r"[a-z_]{1,31}\.(?:[a-z_]{1,32}|\*)|\*"
CURSOR_PATTERN = r"[0-9]{1,18}"  # 18 digits always fit into a bigint
CHAIN_PATTERN = r"[a-z0-9-]{1,20}"
# Signed in about 0.14 s. A client that appends lines to a file should need few calls.
MAX_HEADS = 1_000
HEAD_PARAMETERS: list[Any] = [
    OpenApiParameter("after", str, description="Only chains after the one of this tenant's id."),
    OpenApiParameter("limit", int, description="Heads per page; more than 1,000 becomes 1,000."),
]
SPAN_PARAMETERS: list[Any] = [
    OpenApiParameter("from", str, description="The cursor of the first event; the last checkpoint's if absent."),
    OpenApiParameter("to", str, description="The cursor of the last event; the end of the log if absent."),
]


class EventTypeFilter(BaseFilterBackend):
    """Checks ``?type=subscription.approved`` or ``?type=subscription.*``; refuses parameters that do not exist.

    LogPagination reads the type: a page of a family is made of a page of each of its types.
    """

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        check_query_parameters(request, PARAMETERS)
        if not re.fullmatch(TYPE_PATTERN, _type_pattern(request)):
            raise InvalidField("type", _("This is no type of event, such as subscription.approved or subscription.*."))
        return queryset

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        schema = {"type": "string", "pattern": f"^(?:{TYPE_PATTERN})$"}
        return [query_parameter("type", schema, "Only this type of event, or with subscription.* this family.")]


def _type_pattern(request: Request) -> str:
    return request.query_params.get("type", "*")


class LogPagination(BasePagination):
    """Answers ``{"items", "limit", "next_cursor"}``, oldest first, from ``?after=`` on.

    The cursor is the sequence number. Numbers are given under the chain's lock, in the order of commits: no event with
    a smaller number appears later. A reader that continues after the last cursor that it has seen misses nothing.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.limit = min(positive_parameter(request, "limit", DEFAULT_LIMIT), MAX_LIMIT)
        after = event_number(request, "after") or 0
        # One row more than asked for tells whether there is a next page, without a COUNT.
        rows = read_events(queryset.filter(sequence__gt=after), _type_pattern(request), self.limit + 1)
        items = rows[: self.limit]
        self.next_cursor = str(items[-1].sequence) if len(rows) > self.limit else None
        return items

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"items": data, "limit": self.limit, "next_cursor": self.next_cursor})

    def get_paginated_response_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        end = "Null at the end of the log; later events come after the last item's cursor."
        return {
            "type": "object",
            "required": ["items", "limit", "next_cursor"],
            "properties": {
                "items": schema,
                "limit": {"type": "integer", "minimum": 1, "example": DEFAULT_LIMIT},
                "next_cursor": {"type": ["string", "null"], "description": end, "example": None},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        cursor = {"type": "string", "pattern": f"^{CURSOR_PATTERN}$"}
        limit = {"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT}
        return [
            query_parameter("after", cursor, "Only events after the one with this cursor."),
            query_parameter("limit", limit, "Items per page; more than 100 becomes 100."),
        ]


def event_number(request: Request, name: str) -> int | None:
    """Return the cursor in a query parameter as an event's number, or None without it. Raises InvalidField."""
    cursor = request.query_params.get(name)
    if cursor is None:
        return None
    if not re.fullmatch(CURSOR_PATTERN, cursor):
        raise InvalidField(name, _("This is not a cursor of ours."))
    return int(cursor)


def page_of_chains(chains: QuerySet[EventChain], request: Request) -> tuple[list[EventChain], int, str | None]:
    """Return a page of heads after ``?after=``, its limit, and the cursor of the next page. Raises InvalidField."""
    limit = min(positive_parameter(request, "limit", MAX_HEADS), MAX_HEADS)
    after = request.query_params.get("after")
    if after is not None:
        if not re.fullmatch(CHAIN_PATTERN, after):
            raise InvalidField("after", _("This is not a cursor of ours."))
        chains = chains.filter(tenant_id__gt=after)
    rows = list(chains[: limit + 1])
    return rows[:limit], limit, rows[limit - 1].tenant_id if len(rows) > limit else None


def link_to_next(request: Request, cursor: str | None) -> dict[str, str]:
    """Return the Link header (RFC 8288) to the page after ``cursor``; lines have no other place for it."""
    if cursor is None:
        return {}
    return {"Link": f'<{replace_query_param(request.build_absolute_uri(), "after", cursor)}>; rel="next"'}


class LinesRenderer(BaseRenderer):
    """Writes each item of a page as a line (NDJSON), so that a client can append the answer to a file."""

    media_type = "application/x-ndjson"
    format = "ndjson"
    charset = None  # JSON is UTF-8

    def render(
        self,
        data: Mapping[str, Any],
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return "".join(f"{json.dumps(item, separators=(',', ':'))}\n" for item in data["items"]).encode()
