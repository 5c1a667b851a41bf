"""What every ledger must do, in memory or on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sdk_workflow.core.budgeting.memory_ledger import MemoryLedger
from sdk_workflow.exceptions import UsageError
from sdk_workflow.protocols import Ledger, Standing
from sdk_workflow.storage.ledger_file import LedgerFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LATER = 900.0


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    made: Ledger = (
        MemoryLedger() if request.param == "memory" else LedgerFile(tmp_path / "ledger.sqlite")
    )
    yield made
    made.close()


def reserve(ledger: Ledger, hold_id: str, amount: int, *, scope: str = "run") -> Standing:
    return ledger.reserve(scope, hold_id, amount, limit=100, expires_at=LATER, now=0.0)


def done(spent: int, held: int, amount: int) -> Standing:
    return Standing(is_done=True, spent=spent, held=held, amount=amount)


def unchanged(spent: int, held: int, amount: int = 0) -> Standing:
    return Standing(is_done=False, spent=spent, held=held, amount=amount)


def test_a_ledger_is_a_ledger(ledger: Ledger) -> None:
    assert isinstance(ledger, Ledger)


def test_a_hold_fits_up_to_the_limit_and_not_one_beyond(ledger: Ledger) -> None:
    assert reserve(ledger, "a", 60) == done(0, 60, 60)
    assert reserve(ledger, "b", 41) == unchanged(0, 60, 0)
    assert reserve(ledger, "c", 40) == done(0, 100, 40)
    assert not reserve(ledger, "d", 1).is_done


def test_the_same_hold_is_held_once(ledger: Ledger) -> None:
    reserve(ledger, "a", 60)
    assert reserve(ledger, "a", 60) == done(0, 60, 60)
    ledger.settle("run", "a", 5, now=0.0)
    assert reserve(ledger, "a", 60) == done(5, 0, 5)


def test_settling_replaces_the_hold_and_only_once(ledger: Ledger) -> None:
    reserve(ledger, "a", 60)
    assert ledger.settle("run", "a", 10, now=0.0) == done(10, 0, 10)
    assert ledger.settle("run", "a", 30, now=0.0) == unchanged(10, 0, 10)
    assert ledger.forfeit("run", "a", now=0.0) == unchanged(10, 0, 10)


def test_forfeiting_counts_in_full_and_only_once(ledger: Ledger) -> None:
    reserve(ledger, "a", 60)
    assert ledger.forfeit("run", "a", now=0.0) == done(60, 0, 60)
    assert ledger.forfeit("run", "a", now=0.0) == unchanged(60, 0, 60)


def test_a_forfeited_hold_can_still_be_settled_when_the_truth_is_known(ledger: Ledger) -> None:
    reserve(ledger, "a", 60)
    ledger.forfeit("run", "a", now=0.0)
    assert ledger.settle("run", "a", 10, now=0.0) == done(10, 0, 10)
    assert not ledger.settle("run", "a", 0, now=0.0).is_done


def test_a_hold_that_expires_counts_as_spent_and_never_becomes_free(ledger: Ledger) -> None:
    reserve(ledger, "a", 60)
    assert ledger.standing("run", now=LATER - 1) == unchanged(0, 60, 0)
    assert ledger.standing("run", now=LATER) == unchanged(60, 0, 0)
    late = ledger.reserve("run", "b", 50, limit=100, expires_at=2 * LATER, now=LATER)
    assert late == unchanged(60, 0, 0)
    assert ledger.settle("run", "a", 10, now=2 * LATER) == done(10, 0, 10)


def test_of_several_holds_only_those_expire_whose_time_has_come(ledger: Ledger) -> None:
    ledger.reserve("run", "a", 10, limit=100, expires_at=5.0, now=0.0)
    ledger.reserve("run", "b", 20, limit=100, expires_at=9.0, now=0.0)
    assert ledger.standing("run", now=6.0) == unchanged(10, 20, 0)
    ledger.settle("run", "a", 1, now=6.0)
    assert ledger.standing("run", now=6.0) == unchanged(1, 20, 0)
    assert ledger.standing("run", now=9.0) == unchanged(21, 0, 0)


def test_a_clock_that_goes_back_frees_nothing(ledger: Ledger) -> None:
    reserve(ledger, "a", 60)
    ledger.forfeit("run", "a", now=LATER)
    assert ledger.standing("run", now=-LATER) == unchanged(60, 0, 0)


def test_spend_that_nobody_reserved_is_counted_even_above_the_limit(ledger: Ledger) -> None:
    assert ledger.settle("run", "x", 130, now=0.0) == done(130, 0, 130)
    assert not ledger.settle("run", "x", 130, now=0.0).is_done
    assert not reserve(ledger, "a", 0).is_done


def test_forfeiting_what_is_not_known_changes_nothing(ledger: Ledger) -> None:
    assert ledger.forfeit("run", "x", now=0.0) == unchanged(0, 0, 0)


def test_scopes_do_not_see_one_another(ledger: Ledger) -> None:
    reserve(ledger, "a", 100)
    assert reserve(ledger, "a", 100, scope="other").is_done
    ledger.settle("other", "a", 7, now=0.0)
    assert ledger.standing("run", now=0.0) == unchanged(0, 100, 0)


def test_strange_names_are_just_names(ledger: Ledger) -> None:
    for name in ("", "../../x", "'; DROP TABLE holds; --", "\ud800", "é" * 4096, "a\0b"):
        assert reserve(ledger, name, 1, scope=name) == done(0, 1, 1)


@pytest.mark.parametrize("amount", [-1, 2**62 + 1, 0.5, float("nan"), True, "7", None])
def test_what_is_no_amount_is_refused_and_nothing_is_lost(ledger: Ledger, amount: object) -> None:
    reserve(ledger, "a", 60)
    with pytest.raises(UsageError, match="no amount of pico-dollars"):
        ledger.reserve("run", "b", amount, limit=100, expires_at=LATER, now=0.0)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no amount of pico-dollars"):
        ledger.settle("run", "a", amount, now=0.0)  # type: ignore[arg-type]
    assert ledger.standing("run", now=0.0) == unchanged(0, 60, 0)


def test_closing_twice_is_fine(ledger: Ledger) -> None:
    reserve(ledger, "a", 1)
    ledger.close()
    ledger.close()
