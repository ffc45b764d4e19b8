"""Keeps the state of a login that is under way in the browser, in a signed cookie.

mozilla-django-oidc keeps it in the session. Anyone may begin a login, so that anyone could make rows of sessions. The
cookie holds what only this browser may use: the state, the nonce and the PKCE verifier of its own login.
"""

import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

COOKIE = "stoa_login"
PATH = "/admin/oidc/"
SALT = "stoa_cp.operators.login_state"
# Enough for a password and a second factor.
SECONDS = 3600
# Logins of one browser side by side, in several tabs: about 300 bytes each, of the 4 KB of a cookie.
MAX_STATES = 3
# Where mozilla-django-oidc keeps them in the session.
STATES, NEXT = "oidc_states", "oidc_login_next"


def keep_in_browser(request: HttpRequest, response: HttpResponse) -> None:
    """Move the state that the package has put into the session to a cookie, unless the session has a row already."""
    session = request.session
    if session.session_key is not None:
        return
    states: dict[str, Any] = _read(request).get(STATES, {}) | session.pop(STATES, {})
    newest = sorted(states.items(), key=lambda item: item[1]["added_on"])[-MAX_STATES:]
    response.set_signed_cookie(
        COOKIE,
        json.dumps({STATES: dict(newest), NEXT: session.pop(NEXT, None)}),
        salt=SALT,
        max_age=SECONDS,
        path=PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",  # the provider's redirect back to us is a link of another site
    )


def restore(request: HttpRequest) -> None:
    """Put the state of the cookie into the session, where the package looks for it."""
    for name, value in _read(request).items():
        request.session.setdefault(name, value)


def forget(request: HttpRequest, response: HttpResponse) -> None:
    """Delete the cookie; without a person that is signed in, nothing is left in the session either."""
    response.delete_cookie(COOKIE, path=PATH, samesite="Lax")
    if not request.user.is_authenticated:
        request.session.flush()


def _read(request: HttpRequest) -> dict[str, Any]:
    text = request.get_signed_cookie(COOKIE, default=None, salt=SALT, max_age=SECONDS)
    found: dict[str, Any] = json.loads(text) if text else {}
    return found
