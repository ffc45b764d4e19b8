"""Passwords of our own, for development and for the day on which the identity provider is away.

The backend that checks them, and the console's page on which people change theirs.
"""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase

from stoa_cp.operators.accounts import settle_password_change
from stoa_cp.operators.single_sign_on import operator_of


class PasswordBackend(ModelBackend):
    """Django's backend, which ``STOA_LOCAL_LOGIN`` switches off: no password is accepted then, and no session of one.

    Django hashes a password also for an unknown name, for an account without a password and for one that is switched
    off: the time of the answer does not tell which names exist. A test counts the hashes.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: object
    ) -> User | None:
        if not settings.STOA_LOCAL_LOGIN:
            return None
        user: User | None = super().authenticate(request, username, password, **kwargs)
        return user

    def get_user(self, user_id: int) -> User | None:
        if not settings.STOA_LOCAL_LOGIN:
            return None
        user: User | None = super().get_user(user_id)
        return user


@transaction.atomic
def change_own_password(request: HttpRequest) -> HttpResponseBase:
    """Show Django's page for a new password, or take one; the other sessions of the account end."""
    before = getattr(request.user, "password", None)
    response: HttpResponseBase = admin.site.admin_view(admin.site.password_change)(request)
    # The page answers with a redirect also for other reasons: only the stored hash tells.
    if isinstance(request.user, User) and request.user.password != before:
        key = request.session.session_key
        settle_password_change(request.user, by=operator_of(request), kept_session=key)
    return response
