"""/.well-known/security.txt, after RFC 9116."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from pytest_django import Settings

URL = "/.well-known/security.txt"


def test_it_names_the_contact_and_ends_within_a_year(settings: Settings) -> None:
    settings.STOA_SECURITY_CONTACT, settings.STOA_URL = "mailto:security@example.com", "https://stoa.example.com/"
    response = Client().get(URL)
    fields = dict(line.split(": ", 1) for line in response.content.decode().splitlines())

    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert fields["Contact"] == "mailto:security@example.com"
    assert fields["Canonical"] == "https://stoa.example.com/.well-known/security.txt"
    assert fields["Preferred-Languages"] == "en, fr"
    left = datetime.fromisoformat(fields["Expires"]) - datetime.now(UTC)
    assert timedelta(days=30) < left < timedelta(days=365)


def test_an_address_without_tls_is_not_canonical(settings: Settings) -> None:
    settings.STOA_SECURITY_CONTACT, settings.STOA_URL = "https://example.com/report", "http://127.0.0.1:8000"
    text = Client().get(URL).content.decode()

    assert "Contact: https://example.com/report" in text
    assert "Canonical" not in text


@pytest.mark.django_db
def test_without_a_contact_there_is_no_page() -> None:
    response = Client().get(URL)

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
