"""What the operators' pages are made of: rows that only services write, and how values read in lists."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.formats import date_format, number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

Column = TypeVar("Column", bound=Callable[..., Any])


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]  # the package publishes no types
    """Lists and shows rows. What changes them is a dialog that calls one service: see ``stoa_cp.console.actions``."""

    list_per_page = 50
    list_fullwidth = True
    compressed_fields = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Tell whether the user may answer this model's dialogs: Django's right to change its rows."""
        return bool(super().has_change_permission(request))

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer what is possible in the row's state, as the row's menu in the list does."""
        row = self.get_object(request, object_id)
        actions: list[Any] = super().get_actions_detail(request, object_id)
        return [action for action in actions if row is not None and action.dialog["is_available"](row)]


class LargeTableAdmin(ReadOnlyAdmin):
    """Lists a table that may hold millions of rows: no page of it counts them."""

    paginator = InfinitePaginator
    show_full_result_count = False


class DeletedFilter(admin.SimpleListFilter):
    """Hides rows that are gone, unless they are asked for."""

    title = gettext_lazy("deleted")
    parameter_name = "deleted"
    fields: ClassVar[tuple[str, ...]] = ("deleted_at",)

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, str]]:
        return [("yes", _("Yes"))]

    def choices(self, changelist: Any) -> Iterator[Any]:
        kept, *gone = super().choices(changelist)
        yield kept | {"display": _("No")}
        yield from gone

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        gone = Q(*((f"{field}__isnull", False) for field in self.fields), _connector=Q.OR)
        return queryset.filter(gone if self.value() else ~gone)


def deleted_filter(*fields: str) -> type[DeletedFilter]:
    """Return a filter for rows that are gone when one of ``fields`` has a date, as when their tenant is gone."""
    return type("DeletedFilter", (DeletedFilter,), {"fields": fields})


def column(
    description: str | Promise,
    *,
    ordering: str | None = None,
    colours: Mapping[Any, str] | None = None,
    header: bool | None = None,
) -> Callable[[Column], Column]:
    """Describe a list's column, and what clicking on its head sorts by.

    With ``colours`` it is a label: the method returns the value that chooses the colour (success, info, warning,
    danger) and the text. With ``header`` the method returns ``heading(…)``.
    """
    decorate: Callable[[Column], Column] = display(
        description=description, ordering=ordering, label=colours, header=header
    )
    return decorate


def row_header(name: str, detail: str) -> list[str]:
    """Return a row's two-line heading and the initials beside it: ``partner-portal`` is PP."""
    initials = "".join(word[0] for word in re.findall(r"\w+", name)[:2])
    return [name, detail, initials.upper()]


def format_number(number: int) -> str:
    """Return a number with thousands separators, as the reader's language writes them."""
    return number_format(number, use_l10n=True, force_grouping=True)


def format_limit(limit: int | None) -> str:
    """Return a limit as people read it, with a word where there is none."""
    return _("unlimited") if limit is None else format_number(limit)


def format_datetime(moment: datetime | None) -> str | None:
    """Return a time as the reader's language writes it, for what is no field of the row."""
    return date_format(moment, "DATETIME_FORMAT") if moment else None
