"""Base classes for the admin: read-only model pages, filters, columns, and the formatting of values in lists."""

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
    """A ModelAdmin that lists and shows rows, and never writes them: see ``service_action`` for what changes them."""

    list_per_page = 50  # half of Django's: rows with ``row_header`` have two lines
    list_fullwidth = True
    compressed_fields = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Tell whether the user may run this model's actions: Django's permission ``change_<model>``.

        A permission of its own, because ``has_change_permission`` is False: it would make Django show edit forms.
        """
        return bool(super().has_change_permission(request))

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Return the actions that the row's state allows, as the menu of the row in the list does."""
        row = self.get_object(request, object_id)
        actions: list[Any] = super().get_actions_detail(request, object_id)
        return [action for action in actions if row is not None and action.dialog["is_available"](row)]


class LargeTableAdmin(ReadOnlyAdmin):
    """A ReadOnlyAdmin for tables with millions of rows: no page counts or sorts them.

    PostgreSQL counts by reading the whole table or index. Django's list does that twice: for the pages, and for the
    total beside the search. The rows come in the order of ``ordering``, for which there is an index; by another column
    they would all be read and sorted for a page of 50.
    """

    paginator = InfinitePaginator
    show_full_result_count = False
    sortable_by: tuple[str, ...] = ()


class SearchedById(LargeTableAdmin):
    """A LargeTableAdmin whose search decides by the form of the text which column it may be in.

    One condition over columns of several tables has no index: PostgreSQL would read the whole list for it.
    """

    search_fields = ("id__exact",)  # that there are any makes Django show the search
    # Returns the condition for a text, by columns with an index.
    find: Callable[[str], Q]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\x00", "")
        return (queryset.filter(self.find(term)) if term else queryset), False


class DeletedFilter(admin.SimpleListFilter):
    """A list filter that hides deleted rows until the operator chooses to see them."""

    title = gettext_lazy("deleted")
    parameter_name = "deleted"
    fields: ClassVar[tuple[str, ...]] = ("deleted_at",)

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, str]]:
        return [("yes", _("Yes"))]

    def choices(self, changelist: Any) -> Iterator[Any]:
        everything, *deleted = super().choices(changelist)
        yield everything | {"display": _("No")}  # Django calls the choice without a value "All"
        yield from deleted

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        is_deleted = Q(*((f"{field}__isnull", False) for field in self.fields), _connector=Q.OR)
        return queryset.filter(is_deleted if self.value() else ~is_deleted)


def deleted_filter(*fields: str) -> type[DeletedFilter]:
    """Return a DeletedFilter by other fields, such as ``tenant__deleted_at``: a row is deleted if one has a date."""
    return type("DeletedFilter", (DeletedFilter,), {"fields": fields})


def column(
    description: str | Promise,
    *,
    ordering: str | None = None,
    colours: Mapping[Any, str] | None = None,
    header: bool | None = None,
) -> Callable[[Column], Column]:
    """Decorate a method of an admin that computes a column: its title, and the field that the list sorts by.

    With ``colours`` (value → success, info, warning or danger) the column is a coloured label: the method returns one
    of these values, alone or with a text. With ``header`` the method returns ``row_header(…)``.
    """
    decorate: Callable[[Column], Column] = display(
        description=description, ordering=ordering, label=colours, header=header
    )
    return decorate


def row_header(name: str, detail: str) -> list[str]:
    """Return a row's name, the line below it, and the initials beside it: PP for ``partner-portal``."""
    initials = "".join(word[0] for word in re.findall(r"\w+", name)[:2])
    return [name, detail, initials.upper()]


def format_number(number: int) -> str:
    """Return a number with the thousands separators of the active language."""
    return number_format(number, use_l10n=True, force_grouping=True)


def format_limit(limit: int | None) -> str:
    """Return a limit with thousands separators, or "unlimited" for None."""
    return _("unlimited") if limit is None else format_number(limit)


def format_actor(actor_id: str | None, name: str | None) -> str | None:
    """Return an actor's name and id, or the id alone: only the id is proved, a name may be anything."""
    return f"{name} ({actor_id})" if name else actor_id


def format_datetime(moment: datetime | None) -> str | None:
    """Return a time in the format of the active language. Django does this only for the model's own fields."""
    return date_format(moment, "DATETIME_FORMAT") if moment else None
