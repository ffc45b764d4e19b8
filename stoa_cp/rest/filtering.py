"""Filters, searches and sorts a list by the fields that its viewset names; any other parameter is refused.

Refused, because a misspelled filter would otherwise be ignored, and the client would take the whole list as its answer.
"""

from collections.abc import Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from stoa_cp.domain.errors import InvalidField
from stoa_cp.rest.parameters import check_query_parameters, query_parameter
from stoa_cp.rest.parsers import UNSTORABLE

LIST_PARAMETERS = frozenset({"page", "limit", "cursor", "sort", "q"})


class NamedFieldsFilter(BaseFilterBackend):
    """A DRF filter backend that reads four attributes of the viewset.

    ``filters`` maps query parameters to ORM lookups, ``?q=`` searches ``search_fields``, and ``?sort=name,-created_at``
    orders by ``sort_fields``. What ``query_parameters`` names for the list is read by the viewset itself.
    """

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        options = _Options(view)
        check_query_parameters(request, LIST_PARAMETERS | options.filters.keys() | options.others)
        for name, value in _pairs(request):
            if UNSTORABLE.search(value):
                raise InvalidField(name, _("This contains a character that cannot be stored."))
            if name in options.filters:
                queryset = queryset.filter(**{options.filters[name]: value})
        return self._sort(request, self._search(request, queryset, options), options)

    def _search(self, request: Request, queryset: QuerySet[Any], options: "_Options") -> QuerySet[Any]:
        text = request.query_params.get("q", "")
        if not text:
            return queryset
        condition = Q()
        for field in options.search_fields:
            condition |= Q(**{f"{field}__icontains": text})
        return queryset.filter(condition)

    def _sort(self, request: Request, queryset: QuerySet[Any], options: "_Options") -> QuerySet[Any]:
        text = request.query_params.get("sort", "")
        if not text:
            return queryset
        names = text.split(",")
        for name in names:
            if name.removeprefix("-") not in options.sort_fields:
                raise InvalidField("sort", _("Sortable are: %s.") % ", ".join(options.sort_fields))
        return queryset.order_by(*names, "-id")  # the id makes the order total: no row twice, none left out

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        options = _Options(view)
        parameters = [_text(name, f"Only items with exactly this {name}.") for name in options.filters]
        if options.search_fields:
            parameters.append(_text("q", "Only items that contain this text in: " + ", ".join(options.search_fields)))
        return [*parameters, _sorting(options.sort_fields)]


def _pairs(request: Request) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in request.query_params.items()]


class _Options:
    """The four attributes, with their defaults."""

    def __init__(self, view: Any) -> None:
        self.filters: dict[str, str] = getattr(view, "filters", {})
        self.others = frozenset(getattr(view, "query_parameters", {}).get("list", ()))
        self.search_fields: tuple[str, ...] = getattr(view, "search_fields", ())
        self.sort_fields: tuple[str, ...] = getattr(view, "sort_fields", ("created_at",))


def _sorting(fields: Sequence[str]) -> dict[str, Any]:
    one = f"-?(?:{'|'.join(fields)})"
    described = f"Comma-separated fields, a minus before one for descending: {', '.join(fields)}."
    parameter = _text("sort", described)
    return parameter | {"schema": {"type": "string", "pattern": f"^(?:{one}(?:,{one})*)?$"}}


def _text(name: str, description: str) -> dict[str, Any]:
    return query_parameter(name, {"type": "string"}, description)
