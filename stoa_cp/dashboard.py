"""The console's sidebar and dashboard: a door, like ``urls``, that nobody imports; the settings name its callables."""

import json
from datetime import date
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from metrics.queries import requests_per_day, top_tenants
from stoa_cp.console.pages import format_number
from subscriptions.models import Subscription, SubscriptionStatus
from subscriptions.queries import count_pending, count_subscriptions, oldest_pending

DAYS = 30
TOP_TENANTS = 5
LONGEST_WAITING = 6
PENDING_FILTER = f"status__exact={SubscriptionStatus.PENDING_APPROVAL}"
BLUE = "#3b82f6"
GREY = "#9ca3af"
PALE_BLUE = "rgba(59, 130, 246, 0.12)"  # on white and on black alike
# In place of Unfold's, whose axes show neither zero nor thousands separators. It colours the grids by theme.
CHART_OPTIONS = {
    "animation": False,
    "maintainAspectRatio": False,
    "interaction": {"mode": "index", "intersect": False},
    "plugins": {"legend": {"display": False}},
    "scales": {
        "x": {"border": {"width": 0}, "grid": {"display": False}, "ticks": {"color": GREY, "maxTicksLimit": 16}},
        "y": {
            "border": {"width": 0, "dash": [4, 4]},
            "beginAtZero": True,
            "ticks": {"color": GREY, "maxTicksLimit": 6},
        },
    },
}

Item = dict[str, Any]


def environment(request: HttpRequest) -> list[str | Promise] | None:
    """Mark every page of an installation that is no production."""
    return None if settings.IS_PRODUCTION else [gettext_lazy("Development"), "warning"]


def navigation(request: HttpRequest) -> list[Item]:
    """Return the sidebar's groups. "All applications" below them has what is not listed here."""
    return [
        {"title": _("Operations"), "items": _operations(request)},
        {
            "title": _("Access"),
            "separator": True,
            "items": [
                _list_item(_("Users"), "person", "auth.user"),
                _list_item(_("API keys"), "password", "apikeys.apikey"),
                _list_item(_("Gateways"), "router", "catalog.gateway"),
                _list_item(_("Webhooks"), "webhook", "webhooks.webhook"),
                _list_item(_("Event log"), "history", "stoa_cp.event"),
                {"title": _("API docs"), "icon": "menu_book", "link": "/docs"},
            ],
        },
    ]


def _operations(request: HttpRequest) -> list[Item]:
    subscriptions = _list_item(_("Subscriptions"), "vpn_key", "subscriptions.subscription")
    is_here = request.path.startswith(subscriptions["link"])
    shows_pending = is_here and request.GET.get("status__exact") == SubscriptionStatus.PENDING_APPROVAL
    approvals = subscriptions | {
        "title": _("Approvals"),
        "icon": "approval",
        "link": f"{subscriptions['link']}?{PENDING_FILTER}",
        "badge": count_pending() or None,
        "badge_variant": "warning",
        "active": shows_pending,
    }
    return [
        {"title": _("Dashboard"), "icon": "dashboard", "link": reverse("admin:index")},
        approvals,
        _list_item(_("Tenants"), "domain", "tenants.tenant"),
        _list_item(_("APIs"), "api", "catalog.api"),
        subscriptions | {"active": is_here and not shows_pending},
    ]


def _list_item(title: str, icon: str, model: str) -> Item:
    right = model.replace(".", ".view_")
    return {
        "title": title,
        "icon": icon,
        "link": _link(model),
        "permission": lambda request: request.user.has_perm(right),
    }


def dashboard(request: HttpRequest, context: Item) -> Item:
    """Add the dashboard's figures, charts and table to the context of the console's first page."""
    per_day = requests_per_day(DAYS)
    requests = sum(count for _day, count in per_day)
    return context | {
        "figures": _figures(),
        "requests": format_number(requests),
        "requests_chart": _line_chart(per_day) if requests else "",
        "chart_options": json.dumps(CHART_OPTIONS),
        "waiting": _table(oldest_pending(LONGEST_WAITING)),
        "waiting_link": f"{_link('subscriptions.subscription')}?{PENDING_FILTER}",
        "top_tenants": _bars(top_tenants(DAYS, TOP_TENANTS)),
    }


def _figures() -> list[Item]:
    figures = count_subscriptions()
    subscriptions = _link("subscriptions.subscription")
    return [
        {"title": _("Tenants"), "count": format_number(figures.tenants), "link": _link("tenants.tenant")},
        {"title": _("APIs"), "count": format_number(figures.apis), "link": _link("catalog.api")},
        {
            "title": _("Active subscriptions"),
            "count": format_number(figures.active_subscriptions),
            "link": f"{subscriptions}?status__exact={SubscriptionStatus.ACTIVE}",
        },
        {
            "title": _("Pending approvals"),
            "count": format_number(figures.pending_approvals),
            "link": f"{subscriptions}?{PENDING_FILTER}",
        },
    ]


def _line_chart(per_day: list[tuple[date, int]]) -> str:
    """Return what Chart.js draws, as JSON."""
    line = {
        "label": _("Requests"),
        "data": [requests for _day, requests in per_day],
        "borderColor": BLUE,
        "borderWidth": 2,
        "backgroundColor": PALE_BLUE,
        "fill": True,
        "pointStyle": False,
    }
    return json.dumps({"labels": [f"{day:%m-%d}" for day, _requests in per_day], "datasets": [line]})


def _table(waiting: list[Subscription]) -> Item:
    rows = [
        [
            format_html('<a class="text-link" href="{}">{}</a>', _page(subscription), subscription.application),
            str(subscription.api),
            subscription.plan.name,
            date_format(subscription.created_at, "j M H:i"),
        ]
        for subscription in waiting
    ]
    return {"headers": [_("Application"), _("API"), _("Plan"), _("Requested")], "rows": rows}


def _bars(counts: list[tuple[str, int]]) -> list[Item]:
    """Return each name with its count and the length of its bar, in percent of the longest."""
    longest = max((count for _name, count in counts), default=1)
    return [{"name": name, "count": format_number(count), "percent": 100 * count // longest} for name, count in counts]


def _page(subscription: Subscription) -> str:
    return reverse("admin:subscriptions_subscription_change", args=[subscription.pk])


def _link(model: str) -> str:
    return reverse(f"admin:{model.replace('.', '_')}_changelist")
