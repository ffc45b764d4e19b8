"""Refuses private images and pronouns without a person: each name is the field's word for the thing.

The code once called the shared tokens of the cache a purse, a lease of tokens a loan, a Celery task a doorbell, the
admin a desk and a decision a verdict. Its authors understood each other; a new reader had to translate about 120 such
names before the first change, and no search engine explains a purse. "Whoever", "nobody" and "somebody" hide who acts:
"whoever lost the lease" is "a worker whose lease has ended". The first language of most readers is not English.

Names that leave the process stay as they are, because an old and a new release run side by side: EXCEPTIONS lists them.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.house.source import Finding, SourceFile, product_files, split_words

FORBIDDEN = re.compile(
    r"(purse|loan|doorbell|desk|verdict)s?|wish(es|ed|ing)?|warm(s|ed|er|ing|th|up)?|whoever|nobody|somebody"
)
EXCEPTIONS: Mapping[str, Mapping[str, str]] = {
    "apikeys/models.py": {"loans": "the column's name since the first release"},
    "apikeys/decisions/statement.py": {"loans": "the column's name since the first release"},
    "stoa_cp/devserver/placement.py": {"nobody": "the name of a Unix account"},
}


def broken_rules(root: Path) -> Iterator[Finding]:
    files = {file.path: file for file in product_files(root)}
    for file in files.values():
        yield from forbidden_words(file, EXCEPTIONS.get(file.path, {}))
    for path, words in EXCEPTIONS.items():
        for word in words:
            if path not in files or word not in split_words(files[path].text):
                yield Finding(path, 1, f'The exception for "{word}" in tests/house/forbidden_words.py is not needed.')


def forbidden_words(file: SourceFile, allowed: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the forbidden words of a file's path and text, each once a line, except those ``allowed``."""
    for number, line in enumerate([file.path, *file.text.splitlines()]):
        found = [word for word in split_words(line) if FORBIDDEN.fullmatch(word) and word not in allowed]
        for word in dict.fromkeys(found):
            yield Finding(file.path, max(number, 1), f'"{word}": use the word of the field, or name who acts.')
