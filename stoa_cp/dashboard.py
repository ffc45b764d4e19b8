"""The console's sidebar and its first page, the dashboard.

A file of the project ring: it reads all apps, through the ``queries`` module of each, and no module imports it. The
settings name its three callables for Unfold.
"""

import json
from collections.abc import Iterator
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

from catalog.queries import count_apis
from metrics.queries import requests_per_day, top_tenants
from stoa_cp.console.pages import format_number
from subscriptions.models import Subscription, SubscriptionStatus
from subscriptions.queries import count_active, count_pending, oldest_pending
from tenants.queries import count_tenants

DAYS = 30
# Rows of the two cards that stand side by side. "Review all" leads to the whole list of the second.
TOP_TENANTS = 5
LONGEST_WAITING = 6
# Counting reads as many rows. The badge is on every page, the figures are on the first one.
BADGE_LIMIT = 100
FIGURE_LIMIT = 10_000
PENDING_FILTER = f"status__exact={SubscriptionStatus.PENDING_APPROVAL}"
BLUE = "#3b82f6"
GREY = "#9ca3af"
PALE_BLUE = "rgba(59, 130, 246, 0.12)"  # translucent, so that it fits the light and the dark theme
# Options of Chart.js. They replace Unfold's, whose axes show neither zero nor thousands separators. Unfold colours the
# grid by theme.
CHART_OPTIONS = {
    "animation": False,
    "maintainAspectRatio": False,
    "interaction": {"mode": "index", "intersect": False},
    "plugins": {"legend": {"display": False}},
    "scales": {
        # A label for every second of the 30 days: more would overlap.
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
    """Return the label that Unfold shows on every page outside production, so that operators do not mix up the two."""
    return None if settings.IS_PRODUCTION else [gettext_lazy("Development"), "warning"]


def navigation(request: HttpRequest) -> list[Item]:
    """Return the groups of the sidebar. Unfold's "All applications" below them lists the other models."""
    return [
        {"title": _("Operations"), "items": _operations(request)},
        {
            "title": _("Access"),
            "separator": True,
            "items": [
                _list_item(_("Users"), "person", "auth.user"),
                # Everybody has sessions of their own.
                {"title": _("Sessions"), "icon": "devices", "link": _link("stoa_cp.operatorsession")},
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
    pending = count_pending(BADGE_LIMIT) if _may_view(request, "subscriptions.subscription") else 0
    is_here = request.path.startswith(subscriptions["link"])
    shows_pending = is_here and request.GET.get("status__exact") == SubscriptionStatus.PENDING_APPROVAL
    approvals = subscriptions | {
        "title": _("Approvals"),
        "icon": "approval",
        "link": f"{subscriptions['link']}?{PENDING_FILTER}",
        "badge": _format_count(pending, BADGE_LIMIT) if pending else None,  # Unfold would show a 0
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
    return {
        "title": title,
        "icon": icon,
        "link": _link(model),
        "permission": lambda request: _may_view(request, model),
    }


def dashboard(request: HttpRequest, context: Item) -> Item:
    """Return the context of the console's first page with the dashboard's figures, chart, table and bars.

    Each needs the right to view the rows that it sums up: staff without rights see an empty page.
    """
    sees_traffic = _may_view(request, "metrics.series")
    context |= {"figures": list(_figures(request))}
    if sees_traffic:
        per_day = requests_per_day(DAYS)
        requests = sum(count for _day, count in per_day)
        context |= {
            "requests": format_number(requests),
            "requests_chart": _line_chart(per_day) if requests else "",
            "chart_options": json.dumps(CHART_OPTIONS),
        }
    if _may_view(request, "subscriptions.subscription"):
        context |= {
            "waiting": _table(oldest_pending(LONGEST_WAITING)),
            "waiting_link": f"{_link('subscriptions.subscription')}?{PENDING_FILTER}",
        }
    if sees_traffic and _may_view(request, "tenants.tenant"):
        context |= {"top_tenants": _bars(top_tenants(DAYS, TOP_TENANTS))}
    return context


def _may_view(request: HttpRequest, model: str) -> bool:
    return request.user.has_perm(model.replace(".", ".view_"))


def _figures(request: HttpRequest) -> Iterator[Item]:
    if _may_view(request, "tenants.tenant"):
        yield {"title": _("Tenants"), "count": format_number(count_tenants()), "link": _link("tenants.tenant")}
    if _may_view(request, "catalog.api"):
        apis = _format_count(count_apis(FIGURE_LIMIT), FIGURE_LIMIT)
        yield {"title": _("APIs"), "count": apis, "link": _link("catalog.api")}
    if _may_view(request, "subscriptions.subscription"):
        subscriptions = _link("subscriptions.subscription")
        yield {
            "title": _("Active subscriptions"),
            "count": _format_count(count_active(FIGURE_LIMIT), FIGURE_LIMIT),
            "link": f"{subscriptions}?status__exact={SubscriptionStatus.ACTIVE}",
        }
        yield {
            "title": _("Pending approvals"),
            "count": _format_count(count_pending(FIGURE_LIMIT), FIGURE_LIMIT),
            "link": f"{subscriptions}?{PENDING_FILTER}",
        }


def _format_count(number: int, limit: int) -> str:
    """Return a number that was counted up to ``limit``: "99+" for 100 of 100."""
    return format_number(number) if number < limit else f"{format_number(limit - 1)}+"


def _line_chart(per_day: list[tuple[date, int]]) -> str:
    """Return the data of a Chart.js line chart, as JSON."""
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
    """Return each name with its count, and the length of its bar in percent of the longest bar."""
    longest = max((count for _name, count in counts), default=1)
    return [{"name": name, "count": format_number(count), "percent": 100 * count // longest} for name, count in counts]


def _page(subscription: Subscription) -> str:
    return reverse("admin:subscriptions_subscription_change", args=[subscription.pk])


def _link(model: str) -> str:
    return reverse(f"admin:{model.replace('.', '_')}_changelist")
