"""Stand-ins for what a semantic cache asks: an embedder with planned angles, a calibrator, a guard."""

from __future__ import annotations

import math
import threading
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.semantic_cache import SemanticCache

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE_SECONDS = 20.0


class PlaneEmbedder:
    """Puts every text on the unit circle; the cosine of two texts is that of their angle.

    Args:
        cosines: Text -> its cosine to the text "origin", on the upper half; others are opposite.
        tag: The name of the space.
    """

    def __init__(self, cosines: Mapping[str, float] | None = None, tag: str = "plane") -> None:
        self.cosines = {"origin": 1.0, **(cosines or {})}
        self.encoded: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self._tag = tag

    @property
    def tag(self) -> str:
        return self._tag

    @property
    def dimension(self) -> int:
        return 2

    def encode(self, text: str) -> array[float]:
        assert self.gate.wait(PATIENCE_SECONDS)
        self.encoded.append(text)
        if self.error is not None:
            raise self.error
        cosine = self.cosines.get(text, -1.0)
        return array("f", [cosine, math.sqrt(1 - cosine * cosine)])


class PlannedCalibrator:
    """Gives the probability that it was told to give, and remembers what it learnt."""

    def __init__(self, answer: float | None = None) -> None:
        self.answer = answer
        self.learnt: list[tuple[float, bool]] = []

    def probability(self, _a: Any, _b: Any, _cosine: float) -> float | None:
        return self.answer

    def learn(self, _a: Any, _b: Any, cosine: float, *, is_same: bool) -> None:
        self.learnt.append((round(cosine, 3), is_same))


class Shares:
    """Draws the number that it was told to draw."""

    def __init__(self, value: float = 0.99) -> None:
        self.value = value

    def __call__(self) -> float:
        return self.value


class MachineClock(VirtualClock):
    """Its monotonic time began when the machine was started, not in 1970."""

    def monotonic(self) -> float:
        return self.now() - 1_700_000_000


class World:
    """A cache with everything around it under control; the guard is off unless it is asked for."""

    def __init__(self, cosines: Mapping[str, float] | None = None, **options: Any) -> None:
        self.clock = MachineClock()
        self.embedder = PlaneEmbedder(cosines)
        self.calibrator = PlannedCalibrator()
        self.shares = Shares()
        self.veto: str | None = None
        settings: dict[str, Any] = {
            "embedder": self.embedder,
            "calibrator": self.calibrator,
            "random_share": self.shares,
            "clock": self.clock,
            "encode_timeout_seconds": PATIENCE_SECONDS,
            "guards": False,
        }
        self.cache = SemanticCache(**{**settings, **options})


@contextmanager
def opened(cosines: Mapping[str, float] | None = None, **options: Any) -> Iterator[World]:
    """Yield a world, and end its encoder's thread."""
    world = World(cosines, **options)
    try:
        yield world
    finally:
        world.embedder.gate.set()
        world.cache.close()
