"""What the console's templates ask of rows."""

from typing import Any

from django.db.models import Model
from django.template import Library

register = Library()


@register.filter
def offered_to(actions: list[dict[str, Any]], row: Model) -> list[dict[str, Any]]:
    """Return those of a list's dialogs that are possible in the row's state."""
    return [action for action in actions if action["dialog"]["is_available"](row)]
