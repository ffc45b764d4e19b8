"""Settings of the control plane, read from the environment; the README lists those that operators may set."""

import secrets

from django.utils.translation import gettext_lazy as _

from stoa_cp.settings.console import UNFOLD  # noqa: F401 - django-unfold reads it here
from stoa_cp.settings.databases import databases
from stoa_cp.settings.environment import BASE_DIR, IS_PRODUCTION, STOA_DATA_DIR, STOA_ENV, env  # noqa: F401 - settings
from stoa_cp.settings.limits import *  # noqa: F403 - each name of that module is a setting
from stoa_cp.settings.logging import logging_config
from stoa_cp.settings.openapi import SPECTACULAR_SETTINGS  # noqa: F401 - drf-spectacular reads it here
from stoa_cp.settings.operators import *  # noqa: F403 - constants of Django and mozilla-django-oidc
from stoa_cp.settings.rest import REST_FRAMEWORK  # noqa: F401 - REST framework reads it here
from stoa_cp.settings.tracing import *  # noqa: F403 - as of limits

# --- Addresses -----------------------------------------------------------------------------------------------
STOA_HOST = env.text("STOA_HOST", default="127.0.0.1")
STOA_PORT = env.number("STOA_PORT", default=8000, least=1)
STOA_URL = env.url("STOA_URL", default=f"http://{STOA_HOST}:{STOA_PORT}")
STOA_GATEWAY_URL = env.url("STOA_GATEWAY_URL", default="https://gateway.example.com")
STOA_GATEWAY_CA_FILE = env.text("STOA_GATEWAY_CA_FILE")
ALLOWED_HOSTS = env.items("STOA_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.items("STOA_TRUSTED_ORIGINS")
STOA_TRUSTED_PROXIES = env.networks("STOA_TRUSTED_PROXIES")
# Who may read /metrics without a gateway's token and without a role.
# A list, so that a scraper's token is replaced while the former one is still accepted.
STOA_METRICS_TOKEN = env.secrets("STOA_METRICS_TOKEN")
STOA_METRICS_ALLOW = env.networks("STOA_METRICS_ALLOW")
STOA_SECURITY_CONTACT = env.contact("STOA_SECURITY_CONTACT")
STOA_REGIONS = env.items(
    "STOA_REGIONS", default=["us-east-1", "us-west-2", "eu-west-1", "eu-west-3", "eu-central-1", "ap-southeast-1"]
)
# A token that carries the name of a deleted tenant must have expired before another tenant can have that name.
STOA_NAME_QUARANTINE_DAYS = env.number("STOA_NAME_QUARANTINE_DAYS", default=90)

# --- Secrets -------------------------------------------------------------------------------------------------
# Without any, each process makes random ones: enough for `manage.py check`. stoa_cp.checks refuses the prefix in
# production.
DEVELOPMENT_SECRET_PREFIX = "insecure-"  # noqa: S105 - marks what is no secret
SECRET_KEY = env.text("STOA_SECRET_KEY") or DEVELOPMENT_SECRET_PREFIX + secrets.token_hex(32)
# Former values of SECRET_KEY: they read what was signed or encrypted under it, until nothing of that is left.
SECRET_KEY_FALLBACKS = env.secrets("STOA_SECRET_KEY_FALLBACKS")
# Both lists are newest first: the first entry is used for writing, all for reading. So a secret is rotated by putting a
# new one in front, and taking the old one out when nothing stored needs it.
STOA_KEY_PEPPERS = env.secrets("STOA_KEY_PEPPERS", default=[DEVELOPMENT_SECRET_PREFIX + SECRET_KEY])
STOA_ENCRYPTION_KEYS = env.secrets("STOA_ENCRYPTION_KEYS")
# Seeds of Ed25519 keys, newest first too: the first one signs heads of the event log.
STOA_AUDIT_KEYS = env.secrets("STOA_AUDIT_KEYS")

# --- Django --------------------------------------------------------------------------------------------------
DEBUG = False  # also in development: every error has the JSON format of the API, and a stack trace belongs in the log
ROOT_URLCONF = "stoa_cp.urls"
WSGI_APPLICATION = "stoa_cp.wsgi.application"
APPEND_SLASH = False  # a redirect would turn a POST into a GET
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "stoa_cp",  # before django.contrib.auth: two of its commands replace Django's
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "mozilla_django_oidc",
    "rest_framework",
    "tenants",
    "catalog",
    "subscriptions",
    "apikeys",
    "metrics",
    "webhooks",
]
MIDDLEWARE = [
    # First: it binds the request id, which all others may log.
    "django_structlog.middlewares.RequestMiddleware",
    "stoa_cp.observability.request_ids.RequestIdMiddleware",
    # In the request id's block, whose lines of the log then have the trace's id too.
    "stoa_cp.tracing.middleware.TracingMiddleware",
    # Around all that may answer, so that every response is counted and has the headers.
    "stoa_cp.observability.metrics.MonitoringMiddleware",
    "stoa_cp.observability.headers.HeadersMiddleware",
    # Answers gateways without what follows, which only browsers and people need.
    "apikeys.gateway.middleware.GatewayMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    # After LocaleMiddleware: its refusals are translated.
    "stoa_cp.rest.middleware.ApiMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    # After the three that it reads: sessions, users, messages.
    "stoa_cp.operators.session_check.SessionCheckMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # serves the files from the packages: no collectstatic step to forget

LANGUAGE_CODE = env.choice("STOA_LANGUAGE", ("en", "fr"), default="en")
LANGUAGES = [("en", _("English")), ("fr", _("French"))]
LOCALE_PATHS = [BASE_DIR / "stoa_cp" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

CSRF_FAILURE_VIEW = "stoa_cp.rest.problems.csrf_failure"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
SECURE_SSL_REDIRECT = env.flag("STOA_SSL_REDIRECT", default=IS_PRODUCTION)
# Probes, Prometheus and gateways use plain HTTP inside a cluster.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$", r"^v1/"]
SECURE_HSTS_SECONDS = 31_536_000 if IS_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_PRODUCTION
if env.flag("STOA_BEHIND_TLS_PROXY", default=IS_PRODUCTION):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Storage -------------------------------------------------------------------------------------------------
STOA_DB_POOLED = env.flag("STOA_DB_POOLED", default=False)
DATABASES = databases(env, is_pooled=STOA_DB_POOLED)
# The checks of production refuse a database, a broker or a Redis on another machine without TLS, unless these are on.
STOA_DATABASE_PLAINTEXT = env.flag("STOA_DATABASE_PLAINTEXT", default=False)
STOA_BROKER_PLAINTEXT = env.flag("STOA_BROKER_PLAINTEXT", default=False)
# The decision cache needs a session that LISTENs, which a transaction pooler does not offer.
STOA_DECISION_CACHE = env.flag("STOA_DECISION_CACHE", default=True) and not STOA_DB_POOLED
# Every cache of rows that a process has, by dotted path. One that is missing here would never be invalidated: a test
# compares this list with the caches that exist.
STOA_PROCESS_CACHES = [
    "catalog.authentication.gateway_cache",
    "catalog.routes.path_cache",
    "apikeys.decisions.cache.decision_cache",
]
STOA_METRICS_DATABASE = "replica" if "replica" in DATABASES else "default"
STOA_COUNTER_URL = env.text("STOA_COUNTER_URL")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "counters": (
        {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": STOA_COUNTER_URL,
            # Redis answers in less than a millisecond. Those who find it silent wait this long: 5 s by
            # default, in which four calls occupy all threads.
            "OPTIONS": {"socket_timeout": 0.25, "socket_connect_timeout": 0.25},
        }
        if STOA_COUNTER_URL
        else {"BACKEND": "stoa_cp.ratelimit.counters.PostgresCounters"}
    ),
}

# --- Background work -----------------------------------------------------------------------------------------
STOA_BROKER_URL = env.text("STOA_BROKER_URL")
# The task that the event log sends for each event: the kernel does not import webhooks.
EVENT_CONSUMER_TASK = "webhooks.fan_out_events"

# Of traffic at each resolution; 0 is for ever.
STOA_RETENTION_DAYS = env.numbers("STOA_RETENTION_DAYS", default={"minute": 3, "hour": 90, "day": 0})

# --- Identity and limits -------------------------------------------------------------------------------------
STOA_OIDC_ISSUER = env.url("STOA_OIDC_ISSUER", default="http://127.0.0.1:8001/realms/stoa")
STOA_OIDC_JWKS_URL = env.url("STOA_OIDC_JWKS_URL", default="")
STOA_OIDC_AUDIENCE = env.text("STOA_OIDC_AUDIENCE", default="control-plane-api")
STOA_OIDC_ALLOWED_AZP = env.items("STOA_OIDC_ALLOWED_AZP", default=["control-plane-api"])
# Signatures with public keys only: a shared secret, as of HS256, would let each holder sign tokens.
STOA_OIDC_ALGORITHMS = env.items(
    "STOA_OIDC_ALGORITHMS",
    default=["RS256", "ES256", "PS256"],
    choices=["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"],
)
# Kinds of login (`acr`) that people's tokens must show one of; none: any login does.
STOA_OIDC_REQUIRED_ACR = env.items("STOA_OIDC_REQUIRED_ACR")
# The operators' login into the console: stoa_cp.settings.operators has what no variable changes.
OIDC_RP_CLIENT_ID = env.text("STOA_OIDC_CLIENT_ID", default="stoa-console")
OIDC_RP_CLIENT_SECRET = env.text("STOA_OIDC_CLIENT_SECRET", default=env.text("STOA_DEV_CLIENT_SECRET"))
# The provider is asked for such a login (OpenID Connect Core 1.0 §3.1.2.1); the access token then proves it.
OIDC_AUTH_REQUEST_EXTRA_PARAMS = {"acr_values": " ".join(STOA_OIDC_REQUIRED_ACR)} if STOA_OIDC_REQUIRED_ACR else {}
STOA_LEAK_KEYS = env.items("STOA_LEAK_KEYS")
STOA_LEAK_POLICY = env.choice("STOA_LEAK_POLICY", ("flag", "revoke"), default="flag")
STOA_LOCAL_LOGIN = env.flag("STOA_LOCAL_LOGIN", default=not IS_PRODUCTION)
# 12: a person proves anew who is there (NIST SP 800-63B §4.2.3). 8: a session that is left open ends overnight.
STOA_SESSION_IDLE_HOURS = env.number("STOA_SESSION_IDLE_HOURS", default=8, least=1)
STOA_SESSION_MAX_HOURS = env.number("STOA_SESSION_MAX_HOURS", default=12, least=1)
STOA_REQUIRE_SECOND_APPROVER = env.flag("STOA_REQUIRE_SECOND_APPROVER", default=False)
STOA_RATE_LIMIT_RESOLVER = (
    "tenants.rate_limit.rate_limit_of"  # (Actor) -> RateLimit: whose calls count together, and how many per hour
)
STOA_PLATFORM_RATE_LIMIT = env.number("STOA_PLATFORM_RATE_LIMIT", default=100_000)
# Five times as many as a gateway needs that waits for changes, 30 s each time.
STOA_GATEWAY_CONFIG_RATE_LIMIT = env.number("STOA_GATEWAY_CONFIG_RATE_LIMIT", default=600)
STOA_ANONYMOUS_RATE_LIMIT = env.number("STOA_ANONYMOUS_RATE_LIMIT", default=1_000)
STOA_LOGIN_RATE_LIMIT = env.number("STOA_LOGIN_RATE_LIMIT", default=100)
RATELIMIT_USE_CACHE = "counters"
RATELIMIT_FAIL_OPEN = True  # if the counters are away, calls pass without a limit instead of failing
# W001 and E003 accept two cache backends only. stoa_cp.ratelimit.counters is atomic too: its tests use threads.
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.W001", "django_ratelimit.E003"]

# --- Outbound ------------------------------------------------------------------------------------------------
STOA_PUBLIC_UPSTREAMS_ONLY = env.flag("STOA_PUBLIC_UPSTREAMS_ONLY", default=False)
STOA_UPSTREAM_ALLOW = env.networks("STOA_UPSTREAM_ALLOW")
STOA_ALLOW_HTTP_WEBHOOKS = env.flag("STOA_ALLOW_HTTP_WEBHOOKS", default=False)
STOA_WEBHOOK_THREADS = env.number("STOA_WEBHOOK_THREADS", default=32, least=1)
# Half of a worker's threads. With as many as the threads, one tenant with dead receivers would occupy all of them.
STOA_DELIVERIES_PER_TENANT = env.number("STOA_DELIVERIES_PER_TENANT", default=16, least=1)
# Long enough to investigate a failure. At least 11: with the longest delays that a receiver may ask for, the last of
# ten attempts is made within 10 days.
STOA_DELIVERY_RETENTION_DAYS = env.number("STOA_DELIVERY_RETENTION_DAYS", default=30, least=11)
STOA_WEBHOOK_MIN_SECRET_BYTES = env.number("STOA_WEBHOOK_MIN_SECRET_BYTES", default=0)
STOA_EGRESS_ALLOW = env.networks("STOA_EGRESS_ALLOW")

# --- Logs ----------------------------------------------------------------------------------------------------
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_USER_ID_FIELD = None  # would load the session on every request
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # trusts any X-Forwarded-For; ApiMiddleware binds a checked address
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = 10  # logging.DEBUG: one line per request, at its end
LOGGING = logging_config(as_json=IS_PRODUCTION)

# --- For stoa_cp.checks --------------------------------------------------------------------------------------
STOA_NETWORK_SETTINGS = tuple(env.network_names)
STOA_UNKNOWN_VARIABLES = env.unknown()  # last: it compares with all names that were read above
