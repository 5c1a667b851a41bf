from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.core.caching.analytics import CacheCounts
from sdk_workflow.core.caching.totals import FILE_NAME, add_to_totals, read_totals

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.core.caching.analytics import CacheReport


def report_of_one_miss() -> CacheReport:
    counts = CacheCounts()
    counts.note_call("miss")
    return counts.report(entries={"lru": 0}, oldest_entry_seconds=None, breaker=None)


def test_totals_of_a_new_folder_are_zero(tmp_path: Path) -> None:
    assert read_totals(tmp_path)["hits"] == 0


def test_totals_add_up_over_writers_that_come_at_once(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=add_to_totals, args=(tmp_path, report_of_one_miss()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert read_totals(tmp_path)["misses"] == 8


@pytest.mark.parametrize(
    "content",
    ["", "no json", "[]", "{}", '{"schema": "sdk_workflow.cache-totals/2"}',
     '{"schema": "sdk_workflow.cache-totals/1", "hits": "many"}'],
)  # fmt: skip
def test_totals_that_cannot_be_read_start_again(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    (tmp_path / FILE_NAME).chmod(0o600)

    assert read_totals(tmp_path)["misses"] == 0
    add_to_totals(tmp_path, report_of_one_miss())
    assert read_totals(tmp_path)["misses"] == 1
