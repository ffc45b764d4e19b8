"""Dialogs of the admin: an operator is asked, one service is called, and its answer or refusal is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.forms import BooleanField, CharField, DateTimeField, IntegerField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from stoa_cp.domain.actors import Actor, operator
from stoa_cp.domain.errors import DomainError, NotFound

MAX_REASON_LENGTH = 500
# The dialog's form asks for itself back; these headers of htmx put the answer in place of the whole dialog.
REPLACE_DIALOG = {"HX-Retarget": "#modal-content", "HX-Reselect": "#dialog", "HX-Reswap": "innerHTML"}


class DialogForm(BaseDialogForm):  # type: ignore[misc]  # the package publishes no types
    """Asks for nothing but yes or no. Subclasses add fields; ``object_id`` names the row that is asked about."""


class ReasonForm(DialogForm):
    """Asks why; the reason is shown with the row and told in the event."""

    reason = CharField(
        label=_("Reason"),
        help_text=_("Optional. The tenant reads it."),
        max_length=MAX_REASON_LENGTH,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


@dataclass(frozen=True, slots=True)
class Dialog:
    """What is asked, and ``offered`` for which rows. ``label`` is in the menu, and on the button without ``submit``."""

    label: str | Promise
    title: str | Promise
    icon: str
    description: str | Promise = ""
    submit: str | Promise = ""
    form: type[DialogForm] = DialogForm
    variant: ActionVariant = ActionVariant.DEFAULT
    is_available: Callable[[Any], bool] = lambda _row: True


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What came of it. A ``secret`` is shown in the dialog, once, and nowhere else."""

    sentence: str | Promise
    secret: str | None = None


# (admin, row, valid form, operator) → what came of it. The row is None where the dialog stands above a list.
Step = Callable[[Any, Any, Any, Actor], ActionResult]


def service_action(dialog: Dialog) -> Callable[[Step], Any]:
    """Turn a method that calls one service into an action for ``actions_row``, ``actions_detail`` or ``actions_list``.

    The action changes something only by a POST from its dialog. A refusal is shown as a warning, or beside the
    field that it names.
    """
    shown = _as_unfold(dialog)

    def decorate(step: Step) -> Any:
        @wraps(step)
        def answer(admin: Any, request: HttpRequest, form: DialogForm, object_id: str | None = None) -> HttpResponse:
            try:
                row = _find_row(admin, request, object_id)
                done = step(admin, row, form, operator(request.user.get_username()))
            except DomainError as refusal:
                return _show_refusal(request, form, shown, refusal)
            return _show_success(request, done)

        return action(
            description=dialog.label,
            icon=dialog.icon,
            permissions=["operate"],
            variant=dialog.variant,
            dialog=shown,
        )(answer)

    return decorate


def _as_unfold(dialog: Dialog) -> dict[str, Any]:
    return {
        "title": dialog.title,
        "description": dialog.description,
        "form_class": dialog.form,
        "form_submit_text": dialog.submit or dialog.label,
        # Ours, and read by the row's menu and by ReadOnlyAdmin; Unfold passes it on.
        "is_available": dialog.is_available,
        "is_dangerous": dialog.variant == ActionVariant.DANGER,
    }


def _find_row(admin: Any, request: HttpRequest, object_id: str | None) -> Model | None:
    if object_id is None:
        return None
    row: Model | None = admin.get_object(request, object_id)
    if row is None:
        raise NotFound
    return row


def _show_success(request: HttpRequest, done: ActionResult) -> HttpResponse:
    if done.secret is None:
        messages.success(request, str(done.sentence))
        return _reload_page()
    response = render(request, "admin/secret.html", {"sentence": done.sentence, "secret": done.secret})
    for name, value in REPLACE_DIALOG.items():
        response.headers[name] = value
    return response


def _show_refusal(request: HttpRequest, form: DialogForm, dialog: dict[str, Any], refusal: DomainError) -> HttpResponse:
    sentence = str(refusal.message or refusal.code.label)
    if refusal.field in form.fields:
        form.add_error(refusal.field, sentence)
        context = {"dialog": dialog, "form": form, "form_submit_text": dialog["form_submit_text"]}
        return render(request, "unfold/helpers/dialog.html", context)
    messages.warning(request, sentence)
    return _reload_page()


def _reload_page() -> HttpResponse:
    """Let the browser load the page behind the dialog anew, with its filters and the message."""
    return HttpResponse(headers={"HX-Refresh": "true"})


def text_field(**options: Any) -> CharField:
    """Return a one-line text field in the console's clothes."""
    return CharField(widget=UnfoldAdminTextInputWidget(), **options)


def number_field(**options: Any) -> IntegerField:
    """Return a field for a whole number."""
    return IntegerField(widget=UnfoldAdminIntegerFieldWidget(), **options)


def flag_field(**options: Any) -> BooleanField:
    """Return a checkbox that may stay empty."""
    return BooleanField(required=False, widget=UnfoldBooleanWidget(), **options)


def datetime_field(**options: Any) -> DateTimeField:
    """Return a field for a time in UTC, which is this service's time zone."""
    return DateTimeField(widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}), **options)
