"""A template filter for the menu of a row in the console's lists."""

from typing import Any

from django.db.models import Model
from django.template import Library

register = Library()


@register.filter
def available_for(actions: list[dict[str, Any]], row: Model) -> list[dict[str, Any]]:
    """Return the actions (as Unfold describes them) that the row's state allows."""
    return [action for action in actions if action["dialog"]["is_available"](row)]
