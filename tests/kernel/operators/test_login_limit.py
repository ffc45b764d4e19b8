"""How many passwords an address may try."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"


def test_after_the_last_try_the_right_password_is_no_use_either(settings: Settings) -> None:
    settings.STOA_LOGIN_RATE_LIMIT = 2
    User.objects.create_superuser("olga", password="right")
    client = Client()

    wrong = [client.post(LOGIN, {"username": "olga", "password": "wrong"}).status_code for _try in range(2)]
    right = client.post(LOGIN, {"username": "olga", "password": "right"})

    assert wrong == [200, 200]  # the form again
    assert right.status_code == 429
    assert right.json()["error"]["code"] == "rate_limited"
    assert int(right["Retry-After"]) > 0
    assert client.get(LOGIN).status_code == 200


def test_another_address_has_its_own(settings: Settings) -> None:
    settings.STOA_LOGIN_RATE_LIMIT = 1
    for address, name in (("192.0.2.1", "x"), ("192.0.2.2", "y")):
        assert Client(REMOTE_ADDR=address).post(LOGIN, {"username": name, "password": "z"}).status_code == 200
