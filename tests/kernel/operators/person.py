"""A person with a browser: the console in Django's test client, the development issuer over HTTP."""

from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.test import Client
from django.urls import reverse

PASSWORD = "password"  # of all people of the realm in the tests


class Person:
    """``console`` and the issuer each have their cookies in this browser."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.console = Client(SERVER_NAME="localhost")  # the issuer gives codes to loopback addresses only
        self.issuer_cookie = ""

    def sign_in(self) -> Any:
        """Sign in with the issuer's form; return what the callback answers."""
        to_issuer = self.console.get(reverse("oidc_authentication_init"), {"next": "/admin/"})["Location"]
        form = dict(parse_qsl(urlsplit(to_issuer).query))
        return self._come_back(to_issuer, form | {"username": self.name, "password": PASSWORD})

    def confirm(self, to_issuer: str) -> Any:
        """Follow a redirect to the issuer and back; return what the callback answers."""
        return self._come_back(to_issuer, None)

    def visit(self, path: str) -> Any:
        """Open a page of the console, with the check of the session if one is due."""
        response = self.console.get(path)
        for _hop in range(5):
            if response.status_code != 302:
                break
            target = response["Location"]
            response = self.confirm(target) if "/realms/" in target else self.console.get(target)
        return response

    def sign_out_at_issuer(self, url: str) -> str:
        """Open the issuer's logout page; return where it leads."""
        return self._ask_issuer(url, None)

    def _come_back(self, to_issuer: str, form: dict[str, str] | None) -> Any:
        target = urlsplit(self._ask_issuer(to_issuer, form))
        return self.console.get(f"{target.path}?{target.query}")

    def _ask_issuer(self, url: str, form: dict[str, str] | None) -> str:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc, timeout=5)
        path = f"{parts.path}?{parts.query}" if form is None else parts.path
        body = None if form is None else urlencode(form)
        connection.request("GET" if form is None else "POST", path, body, {"Cookie": self.issuer_cookie})
        response = connection.getresponse()
        response.read()
        connection.close()
        assert response.status == 302, response.status
        self.issuer_cookie = response.headers.get("Set-Cookie", self.issuer_cookie).partition(";")[0]
        return response.headers["Location"]
