"""The development issuer's own sessions: who is signed in there, and which consoles must be told when that ends."""

import secrets
import sys
from dataclasses import dataclass, field
from threading import Thread
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

from stoa_cp.devserver.realm import PEOPLE, KeyPair, Person, logout_claims

COOKIE = "stoa_issuer"
BACK_CHANNEL_PATH = "/admin/oidc/backchannel-logout"
BACK_CHANNEL_SECONDS = 5.0  # for the answer of a console; only the thread of this one call waits for it


@dataclass(slots=True)
class SignIn:
    """A session at the issuer. ``id`` is the claim ``sid``; ``consoles`` are the origins that got a code in it."""

    id: str
    username: str
    consoles: set[str] = field(default_factory=set)


@dataclass(slots=True)
class SignIns:
    """The open sessions by the value of their cookie; a restart ends them all."""

    _open: dict[str, SignIn] = field(default_factory=dict)

    def begin(self, person: Person) -> tuple[str, SignIn]:
        """Return the cookie's value, and the session."""
        cookie = secrets.token_urlsafe(24)
        self._open[cookie] = SignIn(secrets.token_hex(16), person.username)
        return cookie, self._open[cookie]

    def find(self, cookie: str) -> SignIn | None:
        """Return the open session, or None; also after its person was removed from the realm."""
        found = self._open.get(cookie)
        return found if found and found.username in PEOPLE else None

    def end(self, cookie: str, *, key: KeyPair, issuer: str) -> None:
        """End a session, and tell its consoles (OpenID Connect Back-Channel Logout 1.0 §2.5)."""
        ended = self._open.pop(cookie, None)
        if ended is None:
            return
        for console in ended.consoles:
            token = key.sign(logout_claims(ended.username, ended.id, issuer))
            # Beside the response: the console may be the caller, and busy with it.
            Thread(target=_tell, args=(f"{console}{BACK_CHANNEL_PATH}", token), daemon=True).start()


def origin_of(url: str) -> str:
    """Return scheme and host of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _tell(url: str, logout_token: str) -> None:
    try:
        with urlopen(url, urlencode({"logout_token": logout_token}).encode(), timeout=BACK_CHANNEL_SECONDS):  # noqa: S310 - a loopback address: the issuer gives codes to no other
            pass
    except (URLError, TimeoutError) as failure:
        sys.stderr.write(f"{url}: {failure}\n")
