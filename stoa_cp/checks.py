"""System checks that refuse a dangerous configuration in production, before a process does any work.

``stoa_cp.wsgi`` and ``stoa_cp.celery`` run them at their start, and Django before each management command. A value of
the wrong type never gets here: ``stoa_cp.settings.environment`` refuses it in development, too.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured

from stoa_cp.crypto.audit_keys import audit_keys
from stoa_cp.crypto.encryption import key_ring, raw_key

# 32 hexadecimal digits are 128 bits. A shorter pepper could be guessed from a key and its digest, a shorter secret key
# from a session's cookie.
MIN_SECRET_CHARACTERS = 32
# No random text of that length has fewer different characters (one of hexadecimal digits: less than once in 10⁸). A
# text of zeros or of one repeated word has.
MIN_DIFFERENT_CHARACTERS = 8
_WEAK = f"is not set, is not random, or has less than {MIN_SECRET_CHARACTERS} characters"
# The widest networks that one organisation owns: 10.0.0.0/8 and the local addresses fc00::/7.
MIN_PREFIX_BITS = {4: 8, 6: 7}
ENCRYPTED_SCHEMES = frozenset({"rediss", "amqps"})
# libpq's other modes go on in clear if no TLS is offered, by the server or by an attacker between.
ENCRYPTED_MODES = frozenset({"require", "verify-ca", "verify-full"})


@register(Tags.security)
def check_production(**_kwargs: Any) -> list[CheckMessage]:
    """Return the faults of the settings in production; nothing elsewhere."""
    if not settings.IS_PRODUCTION:
        return []
    checks: Sequence[Callable[[], Iterator[tuple[str, str]]]] = (_secrets, _web, _provider, _networks, _connections)
    return [Error(sentence, id=f"stoa_cp.{number}") for check in checks for number, sentence in check()]


@register(Tags.security)
def check_names(**_kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each variable with our prefix that nothing reads.

    No error: a release that is rolled back finds variables of the newer one, and Kubernetes adds some for a Service
    that is called ``stoa``.
    """
    return [
        Warning(f"{name} is no setting.", hint=f"Is {nearest} meant?" if nearest else None, id="stoa_cp.W001")
        for name, nearest in settings.STOA_UNKNOWN_VARIABLES.items()
    ]


@register(Tags.security, deploy=True)
def check_audit_keys(**_kwargs: Any) -> list[CheckMessage]:
    """Warn if the event log proves nothing against the database's owner. No error: older installations have no key."""
    if settings.STOA_AUDIT_KEYS:
        return []
    return [Warning("STOA_AUDIT_KEYS is not set: heads of the event log are not signed.", id="stoa_cp.W002")]


@register(Tags.security)
def check_tracing(**_kwargs: Any) -> list[CheckMessage]:
    """Refuse traces that could not be sent: the first request would fail, or none would ever arrive."""
    if not settings.TRACING_ENABLED:
        return []
    if settings.TRACING_PROTOCOL != "http/protobuf":
        sentence = f"OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, and is {settings.TRACING_PROTOCOL!r}."
        return [Error(sentence, id="stoa_cp.E020")]
    if not _has_exporter():
        sentence = "OTEL_EXPORTER_OTLP_ENDPOINT is set, and the extra tracing is not installed."
        return [Error(sentence, id="stoa_cp.E020")]
    return []


def _has_exporter() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    except (ModuleNotFoundError, ValueError):  # of a package around it
        return False


def _secrets() -> Iterator[tuple[str, str]]:
    if _is_weak(settings.SECRET_KEY):
        yield "E002", f"STOA_SECRET_KEY {_WEAK}."
    if any(_is_weak(secret) for secret in settings.SECRET_KEY_FALLBACKS):
        yield "E002", f"One of STOA_SECRET_KEY_FALLBACKS {_WEAK}."
    if not settings.STOA_KEY_PEPPERS or any(_is_weak(pepper) for pepper in settings.STOA_KEY_PEPPERS):
        yield "E003", f"One of STOA_KEY_PEPPERS {_WEAK}."
    if not settings.STOA_ENCRYPTION_KEYS:
        yield "E004", "STOA_ENCRYPTION_KEYS is not set."
    else:
        yield from _encryption_keys()
    try:
        audit_keys()
    except ImproperlyConfigured as error:  # as for encryption keys
        yield "E014", f"{error}."
    if any(_is_weak(token) for token in settings.STOA_METRICS_TOKEN):
        yield "E013", f"One of STOA_METRICS_TOKEN {_WEAK}."
    # One secret for two purposes is no secret any more when one of the two leaks.
    secret_keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    every = [*secret_keys, *settings.STOA_KEY_PEPPERS, *settings.STOA_ENCRYPTION_KEYS, *settings.STOA_AUDIT_KEYS]
    if len(set(every)) < len(every):
        purposes = "STOA_SECRET_KEY (with _FALLBACKS), STOA_KEY_PEPPERS, STOA_ENCRYPTION_KEYS, STOA_AUDIT_KEYS"
        yield "E008", f"{purposes}: one value is there twice."


def _encryption_keys() -> Iterator[tuple[str, str]]:
    try:
        key_ring()
    except ImproperlyConfigured as error:  # it has the key's position in the list, and never the key
        yield "E004", f"{error}."
        return
    if any(len(set(raw_key(key))) < MIN_DIFFERENT_CHARACTERS for key in settings.STOA_ENCRYPTION_KEYS):
        yield "E004", "One of STOA_ENCRYPTION_KEYS is not random."


def _is_weak(secret: str) -> bool:
    return (
        len(secret) < MIN_SECRET_CHARACTERS
        or len(set(secret)) < MIN_DIFFERENT_CHARACTERS
        or secret.startswith(settings.DEVELOPMENT_SECRET_PREFIX)
    )


def _web() -> Iterator[tuple[str, str]]:
    if settings.DEBUG:
        yield "E001", "DEBUG is on."
    if "*" in settings.ALLOWED_HOSTS:
        yield "E005", "STOA_ALLOWED_HOSTS lets any Host header in."
    if not (settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE):
        yield "E006", "The cookies of the admin may travel without TLS."


def _provider() -> Iterator[tuple[str, str]]:
    if urlsplit(settings.STOA_OIDC_ISSUER).scheme != "https":
        yield "E007", "STOA_OIDC_ISSUER is not reached by HTTPS: the development issuer is not for production."
    # Who could change the keys on their way could sign tokens of any role.
    if settings.STOA_OIDC_JWKS_URL and urlsplit(settings.STOA_OIDC_JWKS_URL).scheme != "https":
        yield "E009", "STOA_OIDC_JWKS_URL is not reached by HTTPS."


def _networks() -> Iterator[tuple[str, str]]:
    for name in settings.STOA_NETWORK_SETTINGS:
        for text in getattr(settings, name):
            network = ip_network(text)
            if network.prefixlen < MIN_PREFIX_BITS[network.version]:
                yield "E010", f"{name} has {text}, which is wider than any network of yours."


def _connections() -> Iterator[tuple[str, str]]:
    for alias, name in (("default", "DATABASE_URL"), ("replica", "DATABASE_REPLICA_URL")):
        entry = settings.DATABASES.get(alias)
        if entry and not settings.STOA_DATABASE_PLAINTEXT and not _is_encrypted(entry):
            yield "E011", f"{name} leads to another machine without sslmode=require, verify-ca or verify-full."
    for name in ("STOA_BROKER_URL", "STOA_COUNTER_URL"):
        url = urlsplit(getattr(settings, name))
        if url.scheme == "memory":
            yield "E012", f"{name} is the queue of a single process, which no other one reads."
        # RabbitMQ's first account. It is also what a URL without a user means.
        elif url.scheme.startswith("amqp") and (url.username or "guest") == "guest":
            yield "E012", f"{name} logs in as guest."
        elif _is_remote(url.hostname or "") and not (settings.STOA_BROKER_PLAINTEXT or _has_tls(url)):
            yield (
                "E011",
                f"{name} leads to another machine without TLS: rediss://, amqps://, pgmq://…?ssl_mode=require.",
            )


def _has_tls(url: SplitResult) -> bool:
    mode = dict(parse_qsl(url.query)).get("ssl_mode")
    return mode in ENCRYPTED_MODES if url.scheme == "pgmq" else url.scheme in ENCRYPTED_SCHEMES


def _is_encrypted(database: dict[str, Any]) -> bool:
    # Two hosts are two machines, of which one is not this one. A path is the folder of a Unix socket.
    hosts = str(database["HOST"]).split(",")
    is_remote = any(_is_remote(host) for host in hosts if not host.startswith("/"))
    return not is_remote or database["OPTIONS"].get("sslmode") in ENCRYPTED_MODES


def _is_remote(host: str) -> bool:
    try:
        return not ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host not in {"", "localhost"}
