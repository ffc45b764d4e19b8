"""Settings of the control plane, read from the environment; the README lists those that operators may set."""

import secrets
from pathlib import Path

import environ
from django.utils.translation import gettext_lazy as _

from stoa_cp.settings.console import UNFOLD  # noqa: F401 - django-unfold reads it here
from stoa_cp.settings.limits import *  # noqa: F403 - each name of that module is a setting
from stoa_cp.settings.logging import logging_config
from stoa_cp.settings.openapi import SPECTACULAR_SETTINGS  # noqa: F401 - drf-spectacular reads it here

BASE_DIR = Path(__file__).resolve().parent.parent.parent

env = environ.Env()
STOA_ENV = env.str("STOA_ENV", default="development")
STOA_DATA_DIR = Path(env.str("STOA_DATA_DIR", default=str(BASE_DIR / ".data")))
IS_PRODUCTION = STOA_ENV == "production"
if not IS_PRODUCTION:
    # `manage.py up` writes this file at its first start, so that commands in a second terminal use the same server.
    # Not in production: a forgotten file must not set anything there.
    env.read_env(str(STOA_DATA_DIR / "env"))

# --- Addresses -----------------------------------------------------------------------------------------------
STOA_HOST = env.str("STOA_HOST", default="127.0.0.1")
STOA_PORT = env.int("STOA_PORT", default=8000)
STOA_URL = env.str("STOA_URL", default=f"http://{STOA_HOST}:{STOA_PORT}")
STOA_GATEWAY_URL = env.str("STOA_GATEWAY_URL", default="https://gateway.example.com")
ALLOWED_HOSTS = env.list("STOA_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("STOA_TRUSTED_ORIGINS", default=[])
STOA_TRUSTED_PROXIES = env.list("STOA_TRUSTED_PROXIES", default=[])
STOA_REGIONS = env.list(
    "STOA_REGIONS", default=["us-east-1", "us-west-2", "eu-west-1", "eu-west-3", "eu-central-1", "ap-southeast-1"]
)
STOA_NAME_QUARANTINE_DAYS = env.int("STOA_NAME_QUARANTINE_DAYS", default=90)

# --- Secrets -------------------------------------------------------------------------------------------------
# Without any, each process makes random ones: enough for `manage.py check`. stoa_cp.checks refuses the prefix in
# production.
DEVELOPMENT_SECRET_PREFIX = "insecure-"  # noqa: S105 - marks what is no secret
SECRET_KEY = env.str("STOA_SECRET_KEY", default=DEVELOPMENT_SECRET_PREFIX + secrets.token_hex(32))
# Both lists are newest first: the first entry is used for writing, all for reading. So a secret is rotated by putting a
# new one in front, and taking the old one out when nothing stored needs it.
STOA_KEY_PEPPERS = env.list("STOA_KEY_PEPPERS", default=[DEVELOPMENT_SECRET_PREFIX + SECRET_KEY])
STOA_ENCRYPTION_KEYS = env.list("STOA_ENCRYPTION_KEYS", default=[])

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
    "stoa_cp",
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

LANGUAGE_CODE = env.str("STOA_LANGUAGE", default="en")
LANGUAGES = [("en", _("English")), ("fr", _("French"))]
LOCALE_PATHS = [BASE_DIR / "stoa_cp" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

CSRF_FAILURE_VIEW = "stoa_cp.rest.problems.csrf_failure"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
SECURE_SSL_REDIRECT = env.bool("STOA_SSL_REDIRECT", default=IS_PRODUCTION)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^v1/"]  # probes and gateways use plain HTTP inside a cluster
SECURE_HSTS_SECONDS = 31_536_000 if IS_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_PRODUCTION
if env.bool("STOA_BEHIND_TLS_PROXY", default=IS_PRODUCTION):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Storage -------------------------------------------------------------------------------------------------
STOA_DB_POOLED = env.bool("STOA_DB_POOLED", default=False)
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://postgres@127.0.0.1:5432/stoa")}
DATABASES["default"] |= {
    "ENGINE": "django.db.backends.postgresql",
    "CONN_MAX_AGE": None,  # reconnecting for each request costs six times the request
    "CONN_HEALTH_CHECKS": True,  # a connection that is kept for ever outlives a restart of the database
    "OPTIONS": {
        "connect_timeout": 3,  # seconds
        # lock_timeout, statement_timeout: a stuck row makes an error after seconds, instead of a queue of all threads.
        # idle_in_transaction_session_timeout: a worker that is frozen inside a transaction loses it after 10 s, and
        # others go on with its rows.
        # plan_cache_mode and prepare_threshold are for stoa_cp.db.prepared alone: Django binds on the client, where
        # there is nothing to prepare. 0 prepares a statement the first time that it runs. Without a generic plan,
        # PostgreSQL plans a prepared statement with an array parameter each time: 1.2 ms instead of 0.25 ms.
        "options": (
            "-c lock_timeout=2s -c statement_timeout=10s -c idle_in_transaction_session_timeout=10s"
            " -c plan_cache_mode=force_generic_plan"
        ),
        "prepare_threshold": None if STOA_DB_POOLED else 0,
    },
}
if env.str("DATABASE_REPLICA_URL", default=""):
    # Only metrics are read from the replica. All other reads must see the writes before them.
    DATABASES["replica"] = DATABASES["default"] | env.db_url("DATABASE_REPLICA_URL")
# The decision cache needs a session that LISTENs, which a transaction pooler does not offer.
STOA_DECISION_CACHE = env.bool("STOA_DECISION_CACHE", default=True) and not STOA_DB_POOLED
# Every cache of rows that a process has, by dotted path. One that is missing here would never be invalidated: a test
# compares this list with the caches that exist.
STOA_PROCESS_CACHES = [
    "catalog.authentication.gateway_cache",
    "catalog.routes.path_cache",
    "apikeys.decisions.cache.decision_cache",
]
STOA_METRICS_DATABASE = "replica" if "replica" in DATABASES else "default"
STOA_COUNTER_URL = env.str("STOA_COUNTER_URL", default="")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "counters": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": STOA_COUNTER_URL}
        if STOA_COUNTER_URL
        else {"BACKEND": "stoa_cp.ratelimit.counters.PostgresCounters"}
    ),
}

# --- Background work -----------------------------------------------------------------------------------------
STOA_BROKER_URL = env.str("STOA_BROKER_URL", default="")
# The task that the event log sends for each event: the kernel does not import webhooks.
EVENT_CONSUMER_TASK = "webhooks.fan_out_events"

STOA_RETENTION_DAYS = {"minute": 3, "hour": 90, "day": 0} | env.dict(  # of traffic at each resolution; 0 is for ever
    "STOA_RETENTION_DAYS", cast={"value": int}, default={}
)

# --- Identity and limits -------------------------------------------------------------------------------------
STOA_OIDC_ISSUER = env.str("STOA_OIDC_ISSUER", default="http://127.0.0.1:8001/realms/stoa")
STOA_OIDC_JWKS_URL = env.str("STOA_OIDC_JWKS_URL", default="")
STOA_OIDC_AUDIENCE = env.str("STOA_OIDC_AUDIENCE", default="control-plane-api")
STOA_OIDC_ALLOWED_AZP = env.list("STOA_OIDC_ALLOWED_AZP", default=["control-plane-api"])
STOA_OIDC_ALGORITHMS = env.list("STOA_OIDC_ALGORITHMS", default=["RS256", "ES256", "PS256"])
# The operators' browser login into the admin: the code flow with PKCE.
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "stoa_cp.identity.operator_login.OperatorBackend",
]
OIDC_AUTHENTICATE_CLASS = "stoa_cp.identity.operator_login.OperatorLoginView"
OIDC_CALLBACK_CLASS = "stoa_cp.identity.operator_login.OperatorCallbackView"
OIDC_RP_CLIENT_ID = env.str("STOA_OIDC_CLIENT_ID", default="control-plane-api")
OIDC_RP_CLIENT_SECRET = env.str("STOA_OIDC_CLIENT_SECRET", default=env.str("STOA_DEV_CLIENT_SECRET", default=""))
OIDC_RP_SIGN_ALGO = "RS256"
OIDC_RP_SCOPES = "openid email profile"
OIDC_USE_PKCE = True
LOGIN_REDIRECT_URL = "/admin/"
LOGIN_REDIRECT_URL_FAILURE = "/admin/login/"
STOA_LEAK_KEYS = env.list("STOA_LEAK_KEYS", default=[])
STOA_LEAK_POLICY = env.str("STOA_LEAK_POLICY", default="flag")
STOA_REQUIRE_SECOND_APPROVER = env.bool("STOA_REQUIRE_SECOND_APPROVER", default=False)
STOA_RATE_LIMIT_RESOLVER = (
    "tenants.rate_limit.rate_limit_of"  # (Actor) -> RateLimit: whose calls count together, and how many per hour
)
STOA_PLATFORM_RATE_LIMIT = env.int("STOA_PLATFORM_RATE_LIMIT", default=100_000)
STOA_ANONYMOUS_RATE_LIMIT = env.int("STOA_ANONYMOUS_RATE_LIMIT", default=1_000)
STOA_LOGIN_RATE_LIMIT = env.int("STOA_LOGIN_RATE_LIMIT", default=100)
RATELIMIT_USE_CACHE = "counters"
RATELIMIT_FAIL_OPEN = True  # if the counters are away, calls pass without a limit instead of failing
# W001 and E003 accept two cache backends only. stoa_cp.ratelimit.counters is atomic too: its tests use threads.
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.W001", "django_ratelimit.E003"]

# --- Outbound ------------------------------------------------------------------------------------------------
STOA_PUBLIC_UPSTREAMS_ONLY = env.bool("STOA_PUBLIC_UPSTREAMS_ONLY", default=False)
STOA_ALLOW_HTTP_WEBHOOKS = env.bool("STOA_ALLOW_HTTP_WEBHOOKS", default=False)
STOA_WEBHOOK_THREADS = env.int("STOA_WEBHOOK_THREADS", default=32)
STOA_WEBHOOK_MIN_SECRET_BYTES = env.int("STOA_WEBHOOK_MIN_SECRET_BYTES", default=0)
STOA_EGRESS_ALLOW = env.list("STOA_EGRESS_ALLOW", default=[])

# --- REST framework ------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["stoa_cp.rest.api_call.ApiCallAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["stoa_cp.identity.permissions.HasRight"],
    "DEFAULT_PARSER_CLASSES": ["stoa_cp.rest.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "stoa_cp.rest.pagination.PagePagination",
    "DEFAULT_SCHEMA_CLASS": "stoa_cp.openapi.schema.OperationSchema",
    "EXCEPTION_HANDLER": "stoa_cp.rest.problems.handle_exception",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%SZ",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_METADATA_CLASS": None,
}
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_USER_ID_FIELD = None  # would load the session on every request
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # trusts any X-Forwarded-For; ApiMiddleware binds a checked address
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = 10  # logging.DEBUG: one line per request, at its end
LOGGING = logging_config(as_json=IS_PRODUCTION)
