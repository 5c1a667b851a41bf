"""Counts and paths as callers give them, and how a count reads."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from sdk_workflow._internal.counting import check_days, check_limit, count_of
from sdk_workflow._internal.paths import as_path
from sdk_workflow.exceptions import UsageError


@pytest.mark.parametrize("limit", [0, -5, 1, sys.maxsize])
def test_a_whole_number_is_a_limit(limit: int) -> None:
    check_limit(limit)


@pytest.mark.parametrize("limit", [1.0, True, None, "1", sys.maxsize + 1])
def test_anything_else_is_no_limit(limit: Any) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        check_limit(limit)


@pytest.mark.parametrize("days", [0, 0.5, 1_000_000])
def test_a_number_up_to_a_million_is_a_number_of_days(days: float) -> None:
    check_days("older_than_days", days)


@pytest.mark.parametrize("days", [-1, float("nan"), float("inf"), True, None, "1", 10**400])
def test_anything_else_is_no_number_of_days(days: Any) -> None:
    with pytest.raises(UsageError, match="older_than_days is "):
        check_days("older_than_days", days)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 calls"), (1, "1 call"), (2, "2 calls"), (10**6, "1,000,000 calls")]
)
def test_one_is_not_many(number: int, text: str) -> None:
    assert count_of(number, "call") == text


def test_a_path_is_named_as_text_or_as_a_path() -> None:
    class Named(os.PathLike[str]):
        def __fspath__(self) -> str:
            return "a/b"

    assert as_path("a/b") == as_path(Path("a/b")) == as_path(Named()) == Path("a/b")
    for odd in (None, 5, b"a"):
        with pytest.raises(UsageError, match="is no path"):
            as_path(odd)
