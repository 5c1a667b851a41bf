"""What the prompt cache saves, in dollars by the simulator's billing, on a virtual clock.

    python benchmarks/benchmark_cache_savings.py [--rounds N] [--json FILE]

(a) A conversation of 30 calls to the model with tools: uncached, with the API's automatic caching,
ours, ours after three other conversations, and the best placement there is. The best is found by
trying all: at each call nothing, five minutes or an hour is written at its end, and the longest
live entry is read, however far back it is. Each round is another conversation. Dollars are those
of the whole bill, answers included.
(b) 40 short questions at once that share a long system prompt, in simulated time.
(c) A typical mix of both kinds.
(d) What deciding takes, in real time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks._cache_deciding import deciding_rows
from benchmarks._cache_questions import SENDERS, ask_together, ask_typical_mix
from benchmarks._cache_savings import (
    MODELS,
    PATTERNS,
    START,
    automatic,
    best_possible,
    make_conversation,
    optimised,
    plain,
    play,
)
from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import Series
from sdk_workflow._internal.clock import VirtualClock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sdk_workflow.types import Call

_MIN_SAVED = 0.80
_MAX_TO_BEST = 1.05
_MIN_SAVED_TYPICAL = 0.50
_EARLIER = 3
_A_DAY = 86_400.0
# The conversation that the targets are about; the others show how far they carry.
_TARGETED = ("steady: 5-45 s", "working: user 20-240 s")


@dataclass(slots=True)
class _Bills:
    plain: list[float]
    automatic: list[float]
    ours: list[float]
    learned: list[float]
    best: list[float]


def bills_of(pattern: str, model: str, rounds: int, *, parallel: int = 1) -> _Bills:
    """Return the dollars of as many conversations as there are rounds, by way of caching."""
    bills = _Bills([], [], [], [], [])
    gap_of = PATTERNS[pattern]
    for seed in range(rounds):
        conversation = make_conversation(seed, gap_of, parallel=parallel)
        uncached = play(conversation, plain, model=model)
        bills.plain.append(uncached.usd)
        bills.automatic.append(play(conversation, automatic, model=model).usd)
        clock = VirtualClock(START)
        bills.ours.append(play(conversation, optimised(clock), model=model, clock=clock).usd)
        bills.learned.append(_learned(pattern, seed, model, parallel))
        bills.best.append(best_possible(conversation, uncached, model=model))
    return bills


def _learned(pattern: str, seed: int, model: str, parallel: int) -> float:
    clock = VirtualClock(START)
    build = optimised(clock)
    for number in range(_EARLIER):
        other = make_conversation(1_000 + 10 * seed + number, PATTERNS[pattern], parallel=parallel)
        play(other, build, model=model, clock=clock, session=f"other {number}")
        clock.advance(_A_DAY)
    conversation = make_conversation(seed, PATTERNS[pattern], parallel=parallel)
    return play(conversation, build, model=model, clock=clock).usd


def conversation_rows(bills: _Bills, *, is_targeted: bool) -> list[Row]:
    """Return the rows of one pattern of gaps."""
    rows = [
        Row(name=name, series=Series(values), unit="$", digits=4)
        for name, values in (
            ("uncached", bills.plain),
            ("automatic caching", bills.automatic),
            ("ours, first conversation", bills.ours),
            ("ours, fourth conversation", bills.learned),
            ("best there is, with foresight", bills.best),
        )
    ]
    target = _MAX_TO_BEST if is_targeted else None
    return [
        *rows,
        _saved("automatic: saved", bills.automatic, bills.plain),
        _saved("ours: saved", bills.ours, bills.plain, _MIN_SAVED if is_targeted else None),
        _ratio("automatic / best", bills.automatic, bills.best),
        _ratio("ours, first / best", bills.ours, bills.best, target),
        _ratio("ours, fourth / best", bills.learned, bills.best, target),
    ]


def _saved(name: str, ours: list[float], base: list[float], at_least: float | None = None) -> Row:
    shares = [1 - a / b for a, b in zip(ours, base, strict=True)]
    return Row(name=name, series=Series(shares), at_least=at_least, digits=3)


def _ratio(name: str, ours: list[float], base: list[float], at_most: float | None = None) -> Row:
    ratios = [a / b for a, b in zip(ours, base, strict=True)]
    return Row(name=name, series=Series(ratios), at_most=at_most, digits=3)


def question_rows(model: str, rounds: int) -> list[Row]:
    """Return what 40 questions at once cost, and how long they take, by way of sending them."""
    rows: list[Row] = []
    for is_streamed in (True, False):
        found = {
            name: [
                ask_together(sender, model, seed, is_streamed=is_streamed) for seed in range(rounds)
            ]
            for name, sender in SENDERS.items()
        }
        how = "streamed" if is_streamed else "plain"
        base = [outcome.usd for outcome in found["uncached"]]
        for name, outcomes in found.items():
            usd = [outcome.usd for outcome in outcomes]
            seconds = [outcome.seconds for outcome in outcomes]
            rows.append(Row(name=f"{how}, {name}", series=Series(usd), unit="$", digits=4))
            rows.append(_saved(f"{how}, {name}: saved", usd, base))
            rows.append(
                Row(name=f"{how}, {name}: until all are answered", series=Series(seconds), unit="s")
            )
    return rows


def mix_rows(model: str, rounds: int) -> list[Row]:
    """Return what a typical mix costs without caching, with automatic caching, and with ours."""
    ways: dict[str, Callable[[VirtualClock], Callable[[Call], Call]]] = {
        "uncached": lambda _clock: plain,
        "automatic caching": lambda _clock: automatic,
        "ours": optimised,
    }
    found = {
        name: [ask_typical_mix(way, model, seed) for seed in range(rounds)]
        for name, way in ways.items()
    }
    rows = [Row(name=name, series=Series(usd), unit="$", digits=4) for name, usd in found.items()]
    base = found["uncached"]
    return [
        *rows,
        _saved("automatic: saved", found["automatic caching"], base),
        _saved("ours: saved", found["ours"], base, _MIN_SAVED_TYPICAL),
    ]


def _main(arguments: argparse.Namespace) -> None:
    report = Report("What the prompt cache saves, by the simulator's billing")
    report.begin()
    add_sections(report, arguments.rounds)
    report.finish(arguments.json)


def add_sections(report: Report, rounds: int) -> None:
    """Measure, and add the tables to a report."""
    model = MODELS[0]
    for pattern in PATTERNS:
        bills = bills_of(pattern, model, rounds)
        rows = conversation_rows(bills, is_targeted=pattern in _TARGETED)
        report.add(f"(a) 30 calls with tools, {model}, {pattern}", rows)
    bills = bills_of(_TARGETED[1], model, rounds, parallel=14)
    rows = conversation_rows(bills, is_targeted=False)
    report.add(f"(a) 14 tools at once, {model}, {_TARGETED[1]}", rows)
    for other in MODELS[1:]:
        bills = bills_of(_TARGETED[1], other, rounds)
        report.add(f"(a) {other}, {_TARGETED[1]}", conversation_rows(bills, is_targeted=False))
    report.add(f"(b) 40 questions at once, {model}", question_rows(model, rounds))
    report.add(f"(c) a typical mix, {model}", mix_rows(model, rounds))
    report.add("(d) deciding on one call", deciding_rows(rounds))
    report.note("Sizes and answers are those of the simulator; gaps and texts come from seeds.")


if __name__ == "__main__":
    _main(parse_arguments("What the prompt cache saves.", rounds=8))
