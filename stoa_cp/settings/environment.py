"""Reads settings from environment variables, each by its type: a value of another type ends the process."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from environ import Env

Value = TypeVar("Value")

BOOLEANS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
CONTACT = re.compile(r"(mailto:[!-~]+@|https://)[!-~]+")
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
POSTGRES_SCHEMES = frozenset({"postgres", "postgresql", "psql", "pgsql"})
# Variables that commands, the development server and the tests read where they need them.
READ_ELSEWHERE = frozenset(
    {
        "STOA_DEV_PASSWORD",
        "STOA_GATEWAY_TOKEN",
        "STOA_ISSUER_PORT",
        "STOA_OPERATOR_PASSWORD",
        "STOA_RUNTIME_PASSWORD",
    }
)
# Those of the tests and benchmarks.
TOOLS = re.compile(r"STOA_(TEST|BENCH|FAULT|FAULTS|KEYCLOAK|REVOCATIONS)(_[A-Z]+)?")


class Environment:
    """The variables of this process. It remembers which were read, so that a misspelled one can be named.

    django-environ's own readers are not used. They take every word but ``true`` and its like for false, name no
    variable if a number is none, and take a value that begins with ``$`` for a reference to another variable: a secret
    that begins so would be replaced by the default.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.network_names: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """Return the text as it is, with its blanks."""
        return self._read(name, str, default)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a boolean. Raises ImproperlyConfigured for anything but true, false, 1, 0, yes, no, on, off."""
        return self._read(name, _boolean, default)

    def number(self, name: str, default: int, *, least: int = 0) -> int:
        """Return a whole number of at least ``least``. Raises ImproperlyConfigured for anything else."""

        def parse(text: str) -> int:
            if not WHOLE_NUMBER.fullmatch(text) or int(text) < least:
                raise ValueError(f"must be a whole number of at least {least}, and is {text!r}")
            return int(text)

        return self._read(name, parse, default)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """Return one of ``choices``. Raises ImproperlyConfigured for anything else."""

        def parse(text: str) -> str:
            if text not in choices:
                raise ValueError(f"must be one of {', '.join(choices)}, and is {text!r}")
            return text

        return self._read(name, parse, default)

    def items(self, name: str, default: Sequence[str] = (), *, choices: Sequence[str] = ()) -> list[str]:
        """Return the items between commas, without the blanks around them; an empty text has none.

        Raises ImproperlyConfigured for an item that is not one of ``choices``, if there are any.
        """

        def parse(text: str) -> list[str]:
            items = _items(text)
            unknown = [item for item in items if choices and item not in choices]
            if unknown:
                raise ValueError(f"may have {', '.join(choices)}, and has {unknown[0]!r}")
            return items

        return self._read(name, parse, list(default))

    def secrets(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Return the items between commas as they are: without a blank, a secret would be another one."""
        return self._read(name, lambda text: [item for item in text.split(",") if item], list(default))

    def networks(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Return networks in CIDR notation. Raises ImproperlyConfigured for anything else, such as host bits."""
        self.network_names.append(name)
        return self._read(name, lambda text: [_network(item) for item in _items(text)], list(default))

    def url(self, name: str, default: str) -> str:
        """Return an http(s) URL. Raises ImproperlyConfigured for anything else, without the value."""
        # An empty text is for settings that may be left out, and only for these.
        return self._read(name, lambda text: text if text == default == "" else _http_url(text), default)

    def contact(self, name: str) -> str:
        """Return a ``mailto:`` or ``https:`` URI, or an empty text. Raises ImproperlyConfigured for anything else."""

        def parse(text: str) -> str:
            if text and not CONTACT.fullmatch(text):
                raise ValueError("must begin with mailto: or https://, without blanks")
            return text

        return self._read(name, parse, "")

    def numbers(self, name: str, default: Mapping[str, int]) -> dict[str, int]:
        """Return ``default`` with the whole numbers of ``key=number,key=number`` in their places.

        Raises ImproperlyConfigured for anything else, such as a key that ``default`` has not.
        """

        def parse(text: str) -> dict[str, int]:
            pairs = [item.partition("=") for item in _items(text)]
            for key, _equals, number in pairs:
                if key not in default or not WHOLE_NUMBER.fullmatch(number):
                    raise ValueError(f"must be of the form {','.join(f'{key}={n}' for key, n in default.items())}")
            return {**default, **{key: int(number) for key, _equals, number in pairs}}

        return self._read(name, parse, dict(default))

    def database(self, name: str, default: str) -> dict[str, Any]:
        """Return an entry of Django's DATABASES. Raises ImproperlyConfigured if it is no URL of PostgreSQL."""

        def parse(text: str) -> dict[str, Any]:
            if urlsplit(text).scheme not in POSTGRES_SCHEMES:
                raise ValueError("must be of the form postgres://user:password@host:port/name")
            entry: dict[str, Any] = Env.db_url_config(text)
            return entry

        return self._read(name, parse, parse(default))

    def unknown(self) -> dict[str, str]:
        """Return variables with our prefix that no part of the product reads, and for each the name that is nearest."""
        known = self.names | READ_ELSEWHERE
        found = (name for name in os.environ if name.startswith("STOA_") and not TOOLS.fullmatch(name))
        return {name: next(iter(get_close_matches(name, known, 1)), "") for name in sorted(found) if name not in known}

    def _read(self, name: str, parse: Callable[[str], Value], default: Value) -> Value:
        self.names.add(name)
        text = os.environ.get(name)
        if text is None:
            return default
        try:
            return parse(text)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} {error}.") from None


def _boolean(text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise ValueError(f"must be true or false, and is {text!r}")
    return BOOLEANS[text.lower()]


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError(f"must have networks such as 10.0.0.0/8, and has {text!r}") from None


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, an IPv6 address without its end
        is_usable = False
    if not is_usable or re.search(r"\s", text):
        raise ValueError("must be a URL that begins with https:// or http://")
    return text


BASE_DIR = Path(__file__).resolve().parent.parent.parent
env = Environment()
# A misspelled "production" must not be taken for development, which has no checks. "test" is for automated tests: it is
# development without the file below.
STOA_ENV = env.choice("STOA_ENV", ("development", "test", "production"), default="development")
STOA_DATA_DIR = Path(env.text("STOA_DATA_DIR", default=str(BASE_DIR / ".data")))
IS_PRODUCTION = STOA_ENV == "production"
if STOA_ENV == "development":
    # `manage.py up` writes this file at its first start, so that commands in a second terminal use the same server.
    # Not in production: a forgotten file must not set anything there. Here, before any module of the settings reads.
    Env.read_env(str(STOA_DATA_DIR / "env"))
