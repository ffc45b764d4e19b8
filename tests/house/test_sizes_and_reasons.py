import pytest

from tests.house.reasons import has_reason
from tests.house.sizes import FUNCTION_LINES, oversizes
from tests.house.source import SourceFile


def sentences(source: str, file_lines: int = 250) -> list[str]:
    return [finding.sentence for finding in oversizes(SourceFile("apikeys/x.py", source), file_lines)]


def test_a_function_may_fill_a_screen_and_no_more() -> None:
    function = "def f():\n" + "    x = 1\n" * (FUNCTION_LINES - 1)
    assert sentences(function) == []
    assert sentences(f"{function}    x = 1\n") == ["f() has 41 lines; at most 40."]
    assert sentences(function.replace("x = 1", '"""1. Lock.\n    2. Check.\n    """', 1)) == []


def test_a_file_may_have_so_many_lines_and_no_more() -> None:
    assert sentences("x = 1\n" * 10, 10) == []
    assert sentences("x = 1\n" * 11, 10) == ["The file has 11 lines; at most 10."]


@pytest.mark.parametrize(
    "comment",
    ["# Two approvers may click at once: the second waits.", "# noqa: S603 - the command is ours, not the user's"],
)
def test_a_reason_has_a_few_words(comment: str) -> None:
    assert has_reason(SourceFile("apikeys/x.py", f"x = 1  {comment}\n"))


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n",
        "x = '# no comment, but a string with a hash'\n",
        "x = 1  # seconds\n",
        "x = 1  # noqa: S603, SLF001\n",
    ],
)
def test_units_directives_and_strings_are_no_reasons(source: str) -> None:
    assert not has_reason(SourceFile("apikeys/x.py", source))
