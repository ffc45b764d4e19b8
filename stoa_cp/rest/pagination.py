"""Paginates lists by page number, and by cursor to any depth at constant cost.

OFFSET reads and discards all rows before a page, and COUNT reads all rows: both stop at ``MAX_DEPTH``. A cursor starts
inside the index: page 50,000 by cursor takes 0.6 times as long as page 1 by number, which also counts.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from stoa_cp.domain.errors import InvalidField
from stoa_cp.rest.parameters import positive_parameter, query_parameter

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_DEPTH = 10_000  # rows that OFFSET may skip, and that COUNT may count


class PagePagination(BasePagination):
    """Answers ``{"items", "page", "limit", "total", "total_pages", "next_cursor"}`` and a Link header (RFC 8288).

    ``?cursor=`` continues after the last item of an earlier answer, newest first; it counts nothing.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.request = request
        self.limit = min(positive_parameter(request, "limit", DEFAULT_LIMIT), MAX_LIMIT)
        if "cursor" in request.query_params:
            self.page = None
            return self._after_cursor(queryset, request.query_params["cursor"])
        self.page = positive_parameter(request, "page", 1)
        if self.page * self.limit > MAX_DEPTH:
            raise InvalidField("page", _("Pages end at item 10,000; follow next_cursor with ?cursor= instead."))
        start = (self.page - 1) * self.limit
        rows = list(queryset[start : start + self.limit + 1])
        # The last page tells the total by itself. Only a page before the last one, or after it, needs COUNT.
        is_last = len(rows) <= self.limit and (rows or not start)
        self.total = start + len(rows) if is_last else queryset.order_by().values("pk")[: MAX_DEPTH + 1].count()
        return self._keep(rows)

    def _after_cursor(self, queryset: QuerySet[Any], cursor: str) -> list[Any]:
        if not is_newest_first(queryset):
            raise InvalidField("cursor", _("A cursor goes with the default order only."))
        created_at, identifier = decode_cursor(cursor)
        older = Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=identifier)
        # `created_at <=` follows from the other condition. It is there because PostgreSQL cannot start an index scan
        # from an OR, and can from this.
        return self._keep(list(queryset.filter(older, created_at__lte=created_at)[: self.limit + 1]))

    def _keep(self, rows: list[Any]) -> list[Any]:
        items = rows[: self.limit]
        self.next_cursor = encode_cursor(items[-1]) if len(rows) > self.limit else None
        return items

    def get_paginated_response(self, data: Any) -> Response:
        if self.page is None:
            return Response({"items": data, "limit": self.limit, "next_cursor": self.next_cursor})
        total = min(self.total, MAX_DEPTH)
        pages = ceil(total / self.limit)
        body: dict[str, Any] = {
            "items": data,
            "page": self.page,
            "limit": self.limit,
            "total": total,
            "total_pages": pages,
            "next_cursor": self.next_cursor,
        }
        if self.total > MAX_DEPTH:
            body["total_is_capped"] = True
        return Response(body, headers={"Link": self._links(self.page, pages)})

    def _links(self, page: int, pages: int) -> str:
        targets = {"first": 1, "prev": page - 1, "next": page + 1, "last": max(pages, 1)}
        url = self.request.build_absolute_uri()
        return ", ".join(
            f'<{replace_query_param(url, "page", target)}>; rel="{relation}"'
            for relation, target in targets.items()
            if 1 <= target <= max(pages, 1)
        )

    def get_paginated_response_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        whole = {"type": "integer", "minimum": 0}
        return {
            "type": "object",
            "required": ["items", "limit", "next_cursor"],
            "properties": {
                "items": schema,
                "page": whole | {"description": "Absent with ?cursor=.", "example": 1},
                "limit": whole | {"example": DEFAULT_LIMIT},
                "total": whole | {"description": "Stops counting at 10,000. Absent with ?cursor=.", "example": 1},
                "total_pages": whole | {"example": 1},
                "total_is_capped": {"type": "boolean", "description": "True when there are more.", "example": False},
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "Null on the last page.",
                    "example": None,
                },
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        number = {"type": "integer", "minimum": 1}
        return [
            query_parameter("page", number | {"default": 1}, "Which page, from 1."),
            query_parameter("limit", number | {"default": DEFAULT_LIMIT}, "Items per page; more than 100 becomes 100."),
            query_parameter("cursor", {"type": "string"}, "The next_cursor of an earlier answer, instead of a page."),
        ]


def is_newest_first(queryset: QuerySet[Any]) -> bool:
    """Tell whether the rows are in the default order, which is the only one that a cursor continues."""
    ordering: Sequence[Any] = queryset.query.order_by or queryset.model._meta.ordering  # noqa: SLF001 - Django documents `_meta`
    return tuple(ordering) == ("-created_at", "-id")


def encode_cursor(row: Model) -> str:
    """Return an opaque cursor: the position just after ``row``."""
    position = json.dumps([row.created_at.isoformat(), row.pk])  # type: ignore[attr-defined]  # every listed model has one
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Return a cursor's position: (created_at, id). Raises InvalidField if ``encode_cursor`` did not make it."""
    try:
        created_at, identifier = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        # Without an offset this raises TypeError; before the year 1 and after 9999 in UTC, OverflowError.
        moment = datetime.fromisoformat(created_at) - EPOCH + EPOCH
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        raise InvalidField("cursor", _("This is not a cursor of ours.")) from None
    if not isinstance(identifier, str) or not identifier.isprintable():
        raise InvalidField("cursor", _("This is not a cursor of ours."))
    return moment, identifier
