"""The accounts of operators: made and given rights by the provider's roles, or made with a password of our own.

Every function is one transaction, and appends its event to the platform's log. Django's signals are not used: each way
in and each form of the console is a view or a form of ours, which calls one of these functions.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.actors import SYSTEM, Actor
from stoa_cp.eventlog.emit import PLATFORM_LOG, emit
from stoa_cp.identity.claims import text_of
from stoa_cp.identity.tokens import TokenInvalid
from stoa_cp.operators.event_types import OperatorEvent
from stoa_cp.operators.models import OperatorSession
from stoa_cp.operators.session_store import digest_of

MAX_USERNAME_CHARS = 150  # the length of Django's column
USERNAME_PREFIX = "oidc-"
RIGHTS = ("is_active", "is_staff", "is_superuser")


def rights_of(user: User) -> dict[str, bool]:
    """Return the fields of a user that decide what the user may do."""
    return {name: getattr(user, name) for name in RIGHTS}


def snapshot(user: User) -> dict[str, Any]:
    """Return an account as events have it."""
    return {"username": user.get_username(), **rights_of(user)}


@transaction.atomic
def grant_rights(actor: Actor, claims: Mapping[str, Any]) -> User:
    """Return the operator's user with the rights of its role; the first login creates the user, without a password.

    A platform actor is a superuser. Any other is staff with all of Django's rights to view, and no others.
    """
    users = get_user_model().objects
    user, is_new = users.get_or_create(username=username_of(actor), defaults={"password": make_password(None)})
    # Two browsers of one person may be checked at once: the second waits, finds the rights as they are, and has no
    # change to log.
    user = users.select_for_update().get(pk=user.pk)
    before = rights_of(user)
    # The numbers are the lengths of Django's columns.
    user.email = text_of(claims, "email", 254)
    user.first_name = text_of(claims, "given_name", 150)
    user.last_name = text_of(claims, "family_name", 150)
    user.is_staff, user.is_superuser = True, actor.is_platform
    user.save()
    # Anew at each check: a release may have brought new models.
    user.user_permissions.set([] if user.is_superuser else Permission.objects.filter(codename__startswith="view_"))
    if is_new:
        emit(OperatorEvent.CREATED, tenant_id=PLATFORM_LOG, actor=actor, data=snapshot(user))
    else:
        _emit_changed_rights(user, before, by=actor)
    return user


@transaction.atomic
def withdraw_rights(actor: Actor) -> None:
    """Take all rights from the user of ``actor``, if there is one, and end its sessions in every browser."""
    user = get_user_model().objects.select_for_update().filter(username=username_of(actor)).first()
    if user is None:
        return
    before = rights_of(user)
    user.is_staff = user.is_superuser = False
    user.save(update_fields=["is_staff", "is_superuser"])
    user.user_permissions.clear()
    OperatorSession.objects.filter(user=user).delete()
    # The provider took them, and not the person.
    _emit_changed_rights(user, before, by=SYSTEM)


@transaction.atomic
def create_superuser(username: str, password: str, *, by: Actor) -> User:
    """Create an operator with a password. Raises ValidationError if the name is reserved or the password too weak."""
    check_username(username)
    validate_password(password, User(username=username))
    user = get_user_model().objects.create_superuser(username=username, password=password)
    emit(OperatorEvent.CREATED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(user))
    return user


@transaction.atomic
def save_account(user: User, *, by: Actor) -> None:
    """Save a new or changed account of the console's form."""
    before = None
    if user.pk:
        before = rights_of(get_user_model().objects.select_for_update().get(pk=user.pk))
    user.save()
    if not (user.is_active and user.is_staff):
        OperatorSession.objects.filter(user=user).delete()
    if before is None:
        emit(OperatorEvent.CREATED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(user))
    else:
        _emit_changed_rights(user, before, by=by)


@transaction.atomic
def delete_account(user: User, *, by: Actor) -> None:
    """Delete an account and end its sessions."""
    data = snapshot(user)
    OperatorSession.objects.filter(user=user).delete()
    user.delete()
    emit(OperatorEvent.DELETED, tenant_id=PLATFORM_LOG, actor=by, data=data)


@transaction.atomic
def set_password(user: User, password: str, *, by: Actor) -> None:
    """Set a password, and end the account's sessions. Raises ValidationError if the password is too weak."""
    validate_password(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])
    settle_password_change(user, by=by)


@transaction.atomic
def settle_password_change(user: User, *, by: Actor, kept_session: str | None = None) -> None:
    """End the account's sessions but the one with the key ``kept_session``, and append the event.

    For Django's forms, which set the password themselves: call it in their transaction.
    """
    OperatorSession.objects.filter(user=user).exclude(pk=digest_of(kept_session or "")).delete()
    emit(OperatorEvent.PASSWORD_CHANGED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(user))


def check_username(username: str) -> None:
    """Raise ValidationError for a name that belongs to a subject of the identity provider."""
    if username.startswith(USERNAME_PREFIX):
        raise ValidationError(_("Names that begin with oidc- belong to people of the identity provider."))


def is_of_provider(user: User) -> bool:
    """Tell whether the identity provider decides on the account: on its rights, and on who may use it."""
    return user.get_username().startswith(USERNAME_PREFIX)


def username_of(actor: Actor) -> str:
    """Return the username of a subject: the same at every login, and different for different subjects.

    Django's usernames have letters, digits and ``@ . + - _`` only. Other characters are percent-encoded, with ``+`` in
    the place of ``%``: ``|`` becomes ``+7C``. The prefix keeps subjects apart from users with a password.
    Raises TokenInvalid if the result is too long for a username: a shortened one could belong to another subject.
    """
    username = USERNAME_PREFIX + quote(actor.id, safe="@").replace("%", "+").replace("~", "+7E")
    if len(username) > MAX_USERNAME_CHARS:
        raise TokenInvalid
    return username


def subject_of_username(username: str) -> str:
    """Return the subject of a username that ``username_of`` made."""
    return unquote(username.removeprefix(USERNAME_PREFIX).replace("+", "%"))


def _emit_changed_rights(user: User, before: Mapping[str, bool], *, by: Actor) -> None:
    changes = {name: [before[name], value] for name, value in rights_of(user).items() if before[name] != value}
    if changes:
        emit(OperatorEvent.RIGHTS_CHANGED, tenant_id=PLATFORM_LOG, actor=by, data=snapshot(user), changes=changes)
