import pytest

from tests.house.row_locks import locks_in, may_lock
from tests.house.source import SourceFile


@pytest.mark.parametrize(
    "path",
    [
        "catalog/services.py",
        "subscriptions/services/plans.py",
        "apikeys/decisions/meters.py",
        "webhooks/delivery/queue.py",
        "stoa_cp/eventlog/emit.py",
        "stoa_cp/rest/conditional.py",
    ],
)
def test_rules_and_the_kernel_may_lock(path: str) -> None:
    assert may_lock(SourceFile(path, ""))


@pytest.mark.parametrize(
    "path",
    [
        "catalog/views.py",
        "catalog/admin.py",
        "catalog/models.py",
        "catalog/gateways.py",
        "catalog/queries.py",
        "webhooks/tasks.py",
        "catalog/management/commands/register_api.py",
        "catalog/management/lookup.py",
        "apikeys/gateway/views.py",
        "apikeys/gateway/fast_path.py",
        "stoa_cp/eventlog/models.py",
        "stoa_cp/dashboard.py",
        "stoa_cp/management/commands/prepare.py",
        "manage.py",
    ],
)
def test_doors_models_and_loose_modules_may_not(path: str) -> None:
    assert not may_lock(SourceFile(path, ""))


def lines(source: str) -> list[int]:
    return list(locks_in(SourceFile("catalog/views.py", source)))


def test_locks_are_found() -> None:
    assert lines("Api.objects.live().select_for_update(no_key=True).get(pk=pk)") == [1]
    assert lines("rows = (\n    Api.objects\n    .select_for_update()\n)") == [3]
    assert lines('SQL = """\nSELECT 1\nFOR UPDATE OF delivery SKIP LOCKED"""') == [3]
    assert lines('SQL = f"{SELECT} FOR NO KEY UPDATE"') == [1]
    assert lines('SQL = "SELECT 1 FOR KEY SHARE"') == [1]


def test_prose_locks_nothing() -> None:
    assert lines('"""Every job is claimed with FOR UPDATE."""\ndef f():\n    """FOR UPDATE."""') == []
    assert lines("# FOR UPDATE\nfor update in updates: pass") == []
