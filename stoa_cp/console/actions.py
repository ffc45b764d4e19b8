"""Admin actions that open a dialog, call one service, and show its result or its refusal.

Usage, in a subclass of ``ReadOnlyAdmin``::

    class SubscriptionAdmin(ReadOnlyAdmin):
        actions_row = actions_detail = ("suspend",)

        @service_action(Dialog(label="Suspend", title="Suspend the subscription", icon="pause", form=ReasonForm))
        def suspend(self, subscription, form, by):
            services.suspend_subscription(subscription, form.cleaned_data["reason"], by=by)
            return ActionResult("The subscription is suspended.")

Unfold shows the button, opens the dialog with htmx, and validates the form. This module adds the call of the service.
"""

from collections.abc import Callable, Mapping
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
from rest_framework.serializers import Serializer
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, NotFound
from stoa_cp.operators.audit import record_secret_shown
from stoa_cp.operators.single_sign_on import operator_of

MAX_REASON_LENGTH = 500  # the length of the columns that keep a reason
# Unfold's form tells htmx to replace the form with the response. With these headers, it replaces the whole dialog.
REPLACE_DIALOG = {"HX-Retarget": "#modal-content", "HX-Reselect": "#dialog", "HX-Reswap": "innerHTML"}


class DialogForm(BaseDialogForm):  # type: ignore[misc]  # the package publishes no types
    """A form without fields: the operator only confirms. Subclasses add fields. ``object_id`` is the row's key."""

    def check_by(self, serializer: Serializer[Any]) -> Mapping[str, Any]:
        """Check the fields by a serializer of the REST API, in which their rules stand once.

        Return its validated data, which is empty after a refusal. Each refusal is shown beside its field; one that
        Django's form has refused already keeps that refusal.
        """
        serializer.is_valid()
        for name, errors in serializer.errors.items():
            if name not in self.errors:
                self.add_error(name, _sentences_of(errors))
        checked: Mapping[str, Any] = serializer.validated_data
        return checked


def _sentences_of(errors: Any) -> list[str]:
    """Return the sentences of a field's refusal: its own, or those of a list's members by their position."""
    members = errors.values() if isinstance(errors, Mapping) else [errors]
    return list(dict.fromkeys(str(error) for member in members for error in member))


class ReasonForm(DialogForm):
    """A form with an optional reason, which is kept with the row and in the event."""

    reason = CharField(
        label=_("Reason"),
        help_text=_("Optional. The tenant reads it."),
        max_length=MAX_REASON_LENGTH,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


@dataclass(frozen=True, slots=True)
class Dialog:
    """The texts and the form of an action's dialog.

    ``label`` is the entry in the menu; ``submit`` is the text of the dialog's button, by default ``label``.
    ``is_available`` tells for which rows the action is offered. It only saves operators a refusal: the service decides.
    """

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
    """The message that is shown after an action. A ``secret`` is shown once, in the dialog, and nowhere else."""

    message: str | Promise
    secret: str | None = None


# (admin, row, valid form, operator) → result. The row is None for an action above a list (``actions_list``).
ActionMethod = Callable[[Any, Any, Any, Actor], ActionResult]


def service_action(dialog: Dialog) -> Callable[[ActionMethod], Any]:
    """Decorate a method of a ``ReadOnlyAdmin`` that calls one service, for ``actions_row``, ``_detail`` or ``_list``.

    The method runs only after a POST of the dialog's valid form: a link or a GET never changes anything. A DomainError
    of the service is shown beside the field that it names, else as a warning on the page.
    """
    unfold_dialog = _as_unfold(dialog)

    def decorate(method: ActionMethod) -> Any:
        @wraps(method)
        def view(admin: Any, request: HttpRequest, form: DialogForm, object_id: str | None = None) -> HttpResponse:
            try:
                row = _find_row(admin, request, object_id)
                by = operator_of(request)
                result = method(admin, row, form, by)
            except DomainError as refusal:
                return _show_refusal(request, form, unfold_dialog, refusal)
            if result.secret is not None:
                record_secret_shown(admin.opts.label, object_id, by=by)
            return _show_success(request, result)

        return action(
            description=dialog.label,
            icon=dialog.icon,
            permissions=["operate"],  # ReadOnlyAdmin.has_operate_permission
            variant=dialog.variant,
            dialog=unfold_dialog,
        )(view)

    return decorate


def _as_unfold(dialog: Dialog) -> dict[str, Any]:
    return {
        "title": dialog.title,
        "description": dialog.description,
        "form_class": dialog.form,
        "form_submit_text": dialog.submit or dialog.label,
        # Not Unfold's, which passes them through: read by the template of the row's menu and by ReadOnlyAdmin.
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


def _show_success(request: HttpRequest, result: ActionResult) -> HttpResponse:
    if result.secret is None:
        messages.success(request, str(result.message))
        return _reload_page()
    # In the response itself: as a message, the secret would be stored in the session or in a cookie.
    response = render(request, "admin/secret.html", {"message": result.message, "secret": result.secret})
    for name, value in REPLACE_DIALOG.items():
        response.headers[name] = value
    return response


def _show_refusal(request: HttpRequest, form: DialogForm, dialog: dict[str, Any], refusal: DomainError) -> HttpResponse:
    message = str(refusal.message or refusal.code.label)
    if refusal.field in form.fields:
        form.add_error(refusal.field, message)
        context = {"dialog": dialog, "form": form, "form_submit_text": dialog["form_submit_text"]}
        return render(request, "unfold/helpers/dialog.html", context)
    messages.warning(request, message)
    return _reload_page()


def _reload_page() -> HttpResponse:
    """Return a response that makes htmx reload the page behind the dialog, which shows the message."""
    return HttpResponse(headers={"HX-Refresh": "true"})


def text_field(**options: Any) -> CharField:
    """Return a CharField with Unfold's text input."""
    return CharField(widget=UnfoldAdminTextInputWidget(), **options)


def number_field(**options: Any) -> IntegerField:
    """Return an IntegerField with Unfold's number input."""
    return IntegerField(widget=UnfoldAdminIntegerFieldWidget(), **options)


def flag_field(**options: Any) -> BooleanField:
    """Return a BooleanField with Unfold's checkbox. Not required: Django would accept only a checked box."""
    return BooleanField(required=False, widget=UnfoldBooleanWidget(), **options)


def datetime_field(**options: Any) -> DateTimeField:
    """Return a DateTimeField with the browser's date picker. Times are in UTC, the time zone of this service."""
    return DateTimeField(widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}), **options)
