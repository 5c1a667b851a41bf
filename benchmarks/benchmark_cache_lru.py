"""LRUCache beside cachetools' TTLCache with a lock: hit, miss, set, eight threads, one stampede.

    python benchmarks/benchmark_cache_lru.py [--rounds N] [--json FILE]

Both hold 1,000 entries under the hex digests of SHA-256, each with a lifetime, and are safe for
threads. Figures are CPU time of one operation, every verdict on a ratio is one of neighbours in the
same round. Without cachetools the ratios are left out.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks._report import Report, Row, parse_arguments
from benchmarks._timing import Series, interleave, ratio_of
from sdk_workflow.core.lru_cache import LRUCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks._timing import Times

_SIZE = 1000
_THREADS = 8
_REPEATS = 20
_STAMPEDE = 1000
_OURS, _PEER = "ours", "TTLCache + lock"
_TARGETS_NS = {"hit": 300.0, "miss": 150.0, "set + evict": 700.0}
_HIT_RATIO = 6.0

_DIGESTS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(3 * _SIZE)]
_KEPT, _ABSENT = _DIGESTS[:_SIZE], _DIGESTS[_SIZE : 2 * _SIZE]
_MIXED = [_ABSENT[n] if n % 10 == 0 else _KEPT[n] for n in range(_SIZE)]


class _Ours:
    """The cache of this library."""

    def __init__(self) -> None:
        cache: LRUCache[str, int] = LRUCache(_SIZE, 3600)
        self.get, self.set = cache.get, cache.set


class _Peer:
    """cachetools leaves the lock to its users, and is not safe for threads without one."""

    def __init__(self) -> None:
        from cachetools import TTLCache

        self._cache: Any = TTLCache(_SIZE, 3600)
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        with self._lock:
            return self._cache.get(key)

    def set(self, key: str, value: int) -> None:
        with self._lock:
            self._cache[key] = value


def main() -> None:
    """Measure, and show the tables."""
    arguments = parse_arguments("LRUCache beside TTLCache with a lock.", rounds=15)
    report = Report("LRUCache: ns per operation, interleaved")
    report.begin()
    add_sections(report, arguments.rounds)
    report.finish(arguments.json)


def add_sections(report: Report, rounds: int) -> None:
    """Measure, and add the tables to a report."""
    sides: dict[str, Callable[[], _Ours | _Peer]] = {_OURS: _Ours}
    if importlib.util.find_spec("cachetools"):
        sides[_PEER] = _Peer
    else:
        report.note("cachetools is not installed: no ratios.")
    for name, work in {"hit": _hits, "miss": _misses, "set + evict": _sets}.items():
        contenders = {side: work(make()) for side, make in sides.items()}
        found = interleave(contenders, rounds=rounds)
        report.add(f"LRUCache, {name}", _rows(name, found, at_most=_TARGETS_NS[name]))
    crowds = {side: _crowd(make()) for side, make in sides.items()}
    found = interleave(crowds, rounds=max(rounds // 3, 1))
    report.add(f"LRUCache, {_THREADS} threads, 90 % hits", _rows("get", found, at_most=None))
    report.add(f"LRUCache, {_STAMPEDE:,} threads on one absent key", [_stampede()])


def _hits(side: _Ours | _Peer) -> Callable[[], tuple[float, float]]:
    _fill(side)
    return lambda: _timed(lambda: _get_all(side, _KEPT))


def _misses(side: _Ours | _Peer) -> Callable[[], tuple[float, float]]:
    _fill(side)
    return lambda: _timed(lambda: _get_all(side, _ABSENT))


def _sets(side: _Ours | _Peer) -> Callable[[], tuple[float, float]]:
    _fill(side)

    def work() -> None:
        put = side.set
        for key in _DIGESTS:  # three times as many as there is room for: each evicts one
            put(key, 1)

    return lambda: _timed(work, operations=len(_DIGESTS))


def _crowd(side: _Ours | _Peer) -> Callable[[], tuple[float, float]]:
    _fill(side)

    def work() -> None:
        with ThreadPoolExecutor(_THREADS) as pool:
            for future in [pool.submit(_get_all, side, _MIXED, 5) for _ in range(_THREADS)]:
                future.result()

    return lambda: _timed(work, operations=_THREADS * 5 * _SIZE)


def _fill(side: _Ours | _Peer) -> None:
    for number, key in enumerate(_KEPT):
        side.set(key, number)


def _get_all(side: _Ours | _Peer, keys: Sequence[str], times: int = 1) -> None:
    get = side.get
    for _ in range(times):
        for key in keys:
            get(key)


def _timed(work: Callable[[], None], *, operations: int = _SIZE) -> tuple[float, float]:
    """Return the quickest of several goes, in wall and CPU nanoseconds of one operation."""
    goes = []
    for _ in range(_REPEATS):
        wall, cpu = perf_counter(), process_time()
        work()
        goes.append((perf_counter() - wall, process_time() - cpu))
    return (
        min(wall for wall, _ in goes) / operations * 1e9,
        min(cpu for _, cpu in goes) / operations * 1e9,
    )


def _rows(what: str, found: dict[str, Times], *, at_most: float | None) -> list[Row]:
    rows = [
        Row(
            name=name,
            series=times.cpu,
            unit="ns",
            at_most=at_most if name == _OURS else None,
            digits=0,
        )
        for name, times in found.items()
    ]
    if _PEER in found:
        rows.append(
            Row(
                name=f"times faster than {_PEER}",
                series=ratio_of(found[_PEER].cpu, found[_OURS].cpu),
                at_least=_HIT_RATIO if what == "hit" else None,
            )
        )
    return rows


def _stampede() -> Row:
    cache: LRUCache[str, int] = LRUCache()
    together = threading.Barrier(_STAMPEDE)

    def ask() -> None:
        together.wait()
        cache.get_or_load("answer", lambda: sum(range(1_000_000)))

    with ThreadPoolExecutor(_STAMPEDE) as pool:
        for future in [pool.submit(ask) for _ in range(_STAMPEDE)]:
            future.result()
    return Row(name="loads", series=Series([cache.get_stats().loads]), at_most=1, digits=0)


if __name__ == "__main__":
    main()
