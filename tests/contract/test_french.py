"""The French catalogue: everything that the service says is in it, and what is compiled is what was translated."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tenants.models import Tenant
from tests.conftest import Caller

FOLDER = Path(settings.LOCALE_PATHS[0]) / "fr" / "LC_MESSAGES"
MARKERS = {"_", "gettext", "gettext_lazy"}
PACKAGES = ("stoa_cp", "tenants", "catalog", "subscriptions", "apikeys", "metrics", "webhooks")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w+\}")
# Words that the specification gives, and words that both languages share.
SAME_IN_BOTH = {
    "API", "Actions", "Application", "Business", "Catalogue", "Contact", "Dates", "Document", "Enterprise", "Free",
    "Mode", "Plan", "Quota", "Rotation", "Secret", "Sessions", "Starter", "Tenant", "Tenants", "Test", "Tier", "Type",
    "URL", "Webhooks", "version",
}  # fmt: skip


def read_catalogue() -> dict[str, str]:
    """Return the translations of the .po file, as far as it needs reading: no plurals, no contexts."""
    entries: dict[str, str] = {}
    key, texts = "", {"msgid": "", "msgstr": ""}
    for line in (FOLDER / "django.po").read_text().splitlines():
        assert not (line.startswith("#,") and "fuzzy" in line), "a guess of msgmerge's needs a look"
        word, _blank, quoted = line.partition(" ")
        if word in texts:
            key, texts[word] = word, ast.literal_eval(quoted)
        elif line.startswith('"'):
            texts[key] += ast.literal_eval(line)
        if word == "msgstr" or line.startswith('"'):
            entries[texts["msgid"]] = texts["msgstr"]
    return entries


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path for path in (settings.BASE_DIR / package).rglob("*.py") if "migrations" not in path.parts)


def marked_in_python(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def marked_in_templates() -> Iterator[str]:
    for path in (settings.BASE_DIR / "templates").rglob("*.html"):
        text = path.read_text()
        assert "blocktranslate" not in text, f"{path}: this test reads {{% translate %}} only"
        yield from (quoted[1] for quoted in re.findall(r"""{% translate (["'])(.*?)\1""", text))


@pytest.fixture(scope="module")
def catalogue() -> dict[str, str]:
    return read_catalogue()


def test_everything_that_is_said_is_in_the_catalogue(catalogue: dict[str, str]) -> None:
    said = {text for path in sources() for text in marked_in_python(path)} | set(marked_in_templates())

    assert said - catalogue.keys() == set()
    assert catalogue.keys() - said == {""}  # the header


def test_everything_is_translated(catalogue: dict[str, str]) -> None:
    assert [text for text, french in catalogue.items() if not french] == []
    assert {text for text, french in catalogue.items() if text == french} <= SAME_IN_BOTH


def test_what_is_filled_in_is_filled_in_in_french_too(catalogue: dict[str, str]) -> None:
    for text, french in catalogue.items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(french)), text


def test_the_compiled_catalogue_is_the_written_one(catalogue: dict[str, str]) -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled: dict[str, Any] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]

    # The header tells when the sentences were gathered, which msgfmt leaves out.
    assert compiled | {"": ""} == catalogue | {"": ""}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"tier": "gold"}, "Valeur de tier invalide"),
        ({"name": "x"}, "Ce champ ne peut pas être modifié."),
        ({"colour": "red"}, "Ce champ n’existe pas."),
        ({"admin_email": None}, "Ce champ ne peut être nul."),
        ({"admin_email": "alice"}, "Saisissez une adresse e-mail valide."),
        ({"region": 7}, "Chaîne de caractère invalide."),
    ],
)
def test_a_refusal_speaks_french(olga: Caller, acme: Tenant, body: dict[str, Any], sentence: str) -> None:
    response = olga.patch("/v1/tenants/acme", body, Accept_Language="fr-CA, en;q=0.5")

    assert response["Content-Language"] == "fr"
    assert response.json()["error"]["message"] == "Paramètres de requête invalides"
    assert [detail["message"] for detail in response.json()["error"]["details"]] == [sentence]
