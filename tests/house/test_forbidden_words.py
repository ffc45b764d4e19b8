import pytest

from tests.house.forbidden_words import forbidden_words
from tests.house.source import SourceFile


def words(text: str, **allowed: str) -> list[tuple[int, str]]:
    found = forbidden_words(SourceFile("apikeys/cache.py", text), allowed)
    return [(finding.line, finding.sentence.split('"')[1]) for finding in found]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("# Whoever lost the lease", "whoever"),
        ("purses = {}", "purses"),
        ("class RedisPurse:", "purse"),
        ("open_purse()", "purse"),
        ("LOAN_SECONDS = 1", "loan"),
        ("nobody's", "nobody"),
        ("wish['overlap']", "wish"),
        ("HTTPDesk", "desk"),
        ('msgid "Nobody waits."', "nobody"),
        ("memory._warm", "warm"),
    ],
)
def test_words_and_parts_of_identifiers_are_found(text: str, word: str) -> None:
    assert words(text) == [(1, word)]


@pytest.mark.parametrize("text", ["desktop", "swarm", "reloaned", "someone", "disbursement", "anybody"])
def test_longer_words_are_others(text: str) -> None:
    assert words(text) == []


def test_a_line_names_each_word_once() -> None:
    assert words("fine\nwish = Wish(wish, loan)") == [(2, "wish"), (2, "loan")]


def test_an_exception_is_one_word_of_one_file() -> None:
    assert words('db_column="loans"', loans="a column") == []
    assert words("loan = loans", loans="a column") == [(1, "loan")]


def test_the_name_of_a_file_counts() -> None:
    found = list(forbidden_words(SourceFile("stoa_cp/doorbell.py", ""), {}))
    assert [finding.line for finding in found] == [1]
