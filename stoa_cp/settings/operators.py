"""How operators sign in to the console: the constants of Django and mozilla-django-oidc that no variable changes."""

from typing import Any

AUTHENTICATION_BACKENDS = [
    "stoa_cp.operators.passwords.PasswordBackend",
    "stoa_cp.operators.single_sign_on.OperatorBackend",
]
LOGIN_REDIRECT_URL = "/admin/"
LOGIN_REDIRECT_URL_FAILURE = "/admin/login/"
_VALIDATORS: dict[str, dict[str, Any]] = {
    "UserAttributeSimilarityValidator": {},
    "MinimumLengthValidator": {"min_length": 12},  # NIST SP 800-63B asks for 8, and 15 without a second factor
    "CommonPasswordValidator": {},
    "NumericPasswordValidator": {},
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in _VALIDATORS.items()
]

SESSION_ENGINE = "stoa_cp.operators.session_store"
# Not Django's name: beside an older release, whose sessions are in another table, each keeps its own cookie.
SESSION_COOKIE_NAME = "stoa_session"

# The code flow with PKCE.
OIDC_AUTHENTICATE_CLASS = "stoa_cp.operators.single_sign_on.OperatorLoginView"
OIDC_CALLBACK_CLASS = "stoa_cp.operators.single_sign_on.OperatorCallbackView"
# For the package's own verification, which stoa_cp.operators.single_sign_on replaces.
OIDC_RP_SIGN_ALGO = "RS256"
OIDC_RP_SCOPES = "openid email profile"
OIDC_USE_PKCE = True
OIDC_STORE_ID_TOKEN = True  # in the session: sent as id_token_hint, when the provider is to end its own session
# Between two checks of a session at the provider. A person who lost the role keeps it for that long at most.
OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = 15 * 60
