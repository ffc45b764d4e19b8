"""The look of the operators' console (django-unfold's settings); ``stoa_cp.dashboard`` supplies its content."""

from typing import Any

from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "STOA Control Plane",
    "SITE_HEADER": "STOA Control Plane",
    "SITE_SUBHEADER": _("Operator console"),
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("stoa_cp/favicon.svg")}],
    "STYLES": [lambda _request: static("stoa_cp/console.css")],
    "SCRIPTS": [lambda _request: static("stoa_cp/console.js")],
    "SHOW_HISTORY": False,  # services do not write Django's history; the event log has their changes
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "stoa_cp.dashboard.environment",
    "DASHBOARD_CALLBACK": "stoa_cp.dashboard.dashboard",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": True,
        "navigation": "stoa_cp.dashboard.navigation",
    },
    "COLORS": {
        "primary": {
            "50": "#eff6ff",
            "100": "#dbeafe",
            "200": "#bfdbfe",
            "300": "#93c5fd",
            "400": "#60a5fa",
            "500": "#3b82f6",
            "600": "#2563eb",
            "700": "#1d4ed8",
            "800": "#1e40af",
            "900": "#1e3a8a",
            "950": "#172554",
        },
    },
}
