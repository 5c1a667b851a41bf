"""How often an operation is repeated: told by figures that are made up, without a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.benchmarking.sampling import MAX_ROUNDS, Effort, Sampling, Took

if TYPE_CHECKING:
    from collections.abc import Callable

    Duration = Callable[[int], Took]


def constant(nanoseconds: int) -> Duration:
    """Return an operation that always takes as long."""
    return lambda calls: Took(nanoseconds * calls, nanoseconds * calls)


def play(sampling: Sampling, duration: Duration, *, rounds: int | None = None) -> list[int]:
    """Carry out rounds, and return how many calls were made each time."""
    asked = []
    for _ in range(sampling.effort.rounds if rounds is None else rounds):
        steps = sampling.next_round()
        calls = next(steps)
        try:
            while True:
                asked.append(calls)
                calls = steps.send(duration(calls))
        except StopIteration:
            pass
    return asked


def test_a_slow_operation_is_called_once_a_sample() -> None:
    sampling = Sampling(Effort(samples=20))

    play(sampling, constant(1_000_000))

    assert sampling.calls == 1
    assert sampling.values() == [1_000_000.0] * 20


def test_a_quick_operation_is_called_in_loops_of_ten_microseconds() -> None:
    sampling = Sampling(Effort(samples=20))

    play(sampling, constant(100))

    assert sampling.calls == 128
    assert sampling.values() == [100.0] * 20


def test_one_disturbed_try_does_not_make_a_quick_operation_a_slow_one() -> None:
    sampling = Sampling(Effort(samples=10))
    disturbed = iter([5_000_000, 5_000_000])  # the first call, and the first try

    def duration(calls: int) -> Took:
        taken = next(disturbed, 100 * calls)
        return Took(taken, taken)

    play(sampling, duration)

    assert sampling.calls == 128


def test_the_first_call_of_all_is_not_a_sample() -> None:
    sampling = Sampling(Effort(samples=10))
    first = iter([9_000_000_000])

    play(sampling, lambda calls: Took(next(first, 20_000 * calls), 20_000 * calls))

    assert max(sampling.values()) == 20_000.0


def test_each_round_begins_with_a_call_that_is_not_a_sample() -> None:
    sampling = Sampling(Effort(samples=20))
    play(sampling, constant(30_000_000), rounds=1)

    assert play(sampling, constant(30_000_000), rounds=1) == [1, 1, 1]
    assert [len(taken) for taken in sampling.rounds] == [2, 2]


def test_warming_up_ends_after_twenty_milliseconds_or_as_many_calls_as_samples() -> None:
    long, short = Sampling(Effort(samples=1000)), Sampling(Effort(samples=1))

    play(long, constant(1_000_000), rounds=1)
    few = play(short, constant(1_000_000))

    assert len(few) == 1 + 2 + 1 + 1 + 1  # the first, two tries, warm-up, before the round, sample
    assert len(play(Sampling(Effort(samples=1000)), constant(1_000_000), rounds=1)) == (
        1 + 2 + 20 + 1 + 100
    )


@given(st.integers(1, 300))
def test_the_rounds_share_all_samples_evenly(samples: int) -> None:
    sampling = Sampling(Effort(samples=samples))

    play(sampling, constant(10_000))

    counts = [len(taken) for taken in sampling.rounds]
    assert sum(counts) == samples
    assert len(counts) == min(MAX_ROUNDS, samples)
    assert max(counts) - min(counts) <= 1
    assert not sampling.is_cut


def test_the_time_limit_cuts_each_round_and_says_so() -> None:
    sampling = Sampling(Effort(samples=1_000_000, time_limit_seconds=1.0))

    play(sampling, constant(30_000_000))

    # 100 ms a round: the fourth sample passes them.
    assert [len(taken) for taken in sampling.rounds] == [4] * 10
    assert sampling.is_cut


def test_the_time_limit_is_one_of_time_that_passes_not_of_cpu_time() -> None:
    sampling = Sampling(Effort(samples=1000, time_limit_seconds=1.0))

    play(sampling, lambda calls: Took(10_000 * calls, 50_000_000 * calls))

    assert [len(taken) for taken in sampling.rounds] == [2] * 10
    assert set(sampling.values()) == {10_000.0}


def test_every_round_takes_at_least_one_sample_however_slow() -> None:
    sampling = Sampling(Effort(samples=100, time_limit_seconds=1.0))

    play(sampling, constant(60_000_000_000))

    assert [len(taken) for taken in sampling.rounds] == [1] * 10


def test_medians_leave_a_round_out_that_an_interrupt_left_empty() -> None:
    sampling = Sampling(Effort(samples=20))
    play(sampling, constant(20_000), rounds=2)
    steps = sampling.next_round()
    next(steps)
    steps.send(Took(1, 1))
    steps.close()

    assert len(sampling.rounds) == 3
    assert sampling.medians() == [20_000.0, 20_000.0]


@pytest.mark.parametrize(("samples", "rounds"), [(1, 1), (9, 9), (10, 10), (1_000_000, 10)])
def test_there_are_as_many_rounds_as_samples_up_to_ten(samples: int, rounds: int) -> None:
    assert Effort(samples=samples).rounds == rounds
