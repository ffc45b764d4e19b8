"""Two models have new names: what operators may look at stays what it was, forwards and backwards."""

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command

pytestmark = pytest.mark.django_db(transaction=True)


def test_operators_keep_their_rights_on_renamed_pages() -> None:
    call_command("migrate", "stoa_cp", "0005", verbosity=0)
    try:
        operator = User.objects.create_user("luke", is_staff=True)
        rights = Permission.objects.filter(codename__in=["view_eventdispatch", "view_storedanswer"])
        operator.user_permissions.set(rights)
    finally:
        call_command("migrate", "stoa_cp", verbosity=0)
    assert User.objects.get(pk=operator.pk).get_user_permissions() == {
        "stoa_cp.view_outboxentry",
        "stoa_cp.view_idempotencyrecord",
    }
