"""Addresses of the console's pages and dialogs, and how a test submits a dialog."""

from typing import Any

from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{_name_of(model)}_changelist")


def page_of(row: Model) -> str:
    return reverse(f"admin:{_name_of(type(row))}_change", args=[row.pk])


def dialog_of(row: Model | type[Model], action: str) -> str:
    """Return the address of an action's dialog: of a row, or above a model's list."""
    model, arguments = (row, []) if isinstance(row, type) else (type(row), [row.pk])
    return reverse(f"admin:{_name_of(model)}_{action}", args=arguments)


def answer(client: Client, dialog: str, **fields: object) -> Any:
    """Submit a dialog as htmx does."""
    return client.post(dialog, {"_form_submitted": "True"} | fields, headers={"HX-Request": "true"})


def said(response: Any) -> list[str]:
    """Return the messages that the next page will show: ``warning: …``."""
    return [f"{message.level_tag}: {message}" for message in get_messages(response.wsgi_request)]


def _name_of(model: type[Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"
