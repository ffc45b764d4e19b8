"""How a tenant's event log is read over REST: in the order of commits, filtered by type, from a cursor onwards.

The filter and the pagination of ``EventViewSet``. They stand alone, because every other list has others: newest first,
by page, filtered by fields.
"""

import re
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.filters import BaseFilterBackend
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from stoa_cp.domain.errors import InvalidField
from stoa_cp.rest.pagination import DEFAULT_LIMIT, MAX_LIMIT
from stoa_cp.rest.parameters import check_query_parameters, positive_parameter, query_parameter

PARAMETERS = frozenset({"after", "limit", "type"})
# A type such as subscription.approved, a family such as subscription.*, or *. The pattern does not name the types that
# exist: the log holds events of older releases too, whose types may be gone.
TYPE_PATTERN = r"[a-z_]{1,31}\.(?:[a-z_]{1,32}|\*)|\*"
CURSOR_PATTERN = r"[0-9]{1,18}"  # 18 digits always fit into a bigint


class EventTypeFilter(BaseFilterBackend):
    """Reads ``?type=subscription.approved`` or ``?type=subscription.*``; refuses parameters that do not exist."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        check_query_parameters(request, PARAMETERS)
        pattern = request.query_params.get("type", "*")
        if not re.fullmatch(TYPE_PATTERN, pattern):
            raise InvalidField("type", _("This is no type of event, such as subscription.approved or subscription.*."))
        if pattern.endswith("*"):
            return queryset.filter(type__startswith=pattern[:-1])
        return queryset.filter(type=pattern)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        schema = {"type": "string", "pattern": f"^(?:{TYPE_PATTERN})$"}
        return [query_parameter("type", schema, "Only this type of event, or with subscription.* this family.")]


class LogPagination(BasePagination):
    """Answers ``{"items", "limit", "next_cursor"}``, oldest first, from ``?after=`` on.

    The cursor is the sequence number. Numbers are given under the chain's lock, in the order of commits: no event with
    a smaller number appears later. A reader that continues after the last cursor that it has seen misses nothing.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.limit = min(positive_parameter(request, "limit", DEFAULT_LIMIT), MAX_LIMIT)
        after = request.query_params.get("after", "0")
        if not re.fullmatch(CURSOR_PATTERN, after):
            raise InvalidField("after", _("This is not a cursor of ours."))
        # One row more than asked for tells whether there is a next page, without a COUNT.
        rows = list(queryset.filter(sequence__gt=int(after)).order_by("sequence")[: self.limit + 1])
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
