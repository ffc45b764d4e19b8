"""An operator who has signed in, and one who may only look."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

OPERATOR = "olga"


@pytest.fixture
def console(db: None) -> Client:
    """The console as olga sees it, who may do everything."""
    return signed_in(User.objects.create_superuser(OPERATOR, first_name="Olga", last_name="Perator"))


@pytest.fixture
def lookout(db: None) -> Client:
    """The console as somebody sees it who may look at everything and change nothing."""
    user = User.objects.create_user("luke", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return signed_in(user)


@pytest.fixture
def passer_by(db: None) -> Client:
    """A user of the identity provider's who is no operator."""
    return signed_in(User.objects.create_user("pete"))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client
