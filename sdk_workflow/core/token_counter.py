"""A count of prompt tokens that needs no network and gets better with every reply.

It starts from a guess by length and learns how far off that is, one factor per model family. It
keeps no text.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.token_estimate import CharacterTokenCounter
from sdk_workflow.events import ModelCallFinished, shows_no_text
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.events import Event

__all__ = ["CalibratingTokenCounter", "CounterAccuracy"]

_GUESSED_FACTOR = 1.3  # the `token_factor` of the models that the guess by length is right for
_MAX_RATIOS = 63  # odd: the median is one of them; few enough to follow a change of content
_MAX_ERRORS = 256
_MAX_FAMILIES = 256
_UNKNOWN = "(unknown)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterAccuracy:
    """How good the counts for one model family are.

    Each error is that of the count made before its true size was learned. The percentiles are over
    the last 256; both are None before the first.

    Attributes:
        family: The tier and the `token_factor` of the models that are counted alike.
        ratio: What the guess by length is multiplied with.
        observations: How many true sizes were learned.
        mean_absolute_error_pct: The mean of |counted - true| / true, in percent.
        p95_absolute_error_pct: What 95 of 100 errors did not exceed, in percent.
    """

    family: str
    ratio: float
    observations: int
    mean_absolute_error_pct: float | None
    p95_absolute_error_pct: float | None


class CalibratingTokenCounter:
    """Counts the tokens of a prompt, and learns from what the API reports; a `TokenCounter`.

    A count is the guess of `CharacterTokenCounter` times a ratio: the median of the last 63 ratios
    of true size and guess, in which the catalogue's `token_factor` counts as the first. So one odd
    prompt, such as one full of pictures, changes next to nothing. Thread-safe.

    Args:
        catalog: Knows the families; the packaged models and the user's by default.

    Example:
        >>> counter = CalibratingTokenCounter()
        >>> message = {"role": "user", "content": "Good morning! " * 100}
        >>> params = {"model": "claude-haiku-5-5", "messages": [message]}
        >>> counter.count(params)
        470
        >>> for _ in range(3):
        ...     counter.learn(params, 400)
        >>> counter.count(params)
        400
    """

    def __init__(self, catalog: ModelCatalog | None = None) -> None:
        self._catalog = catalog
        self._guess = CharacterTokenCounter().count
        self._lock = Lock()
        self._families: dict[str, _Calibration] = {}

    def count(self, params: Mapping[str, Any]) -> int:
        """Return about how many tokens the prompt of a request has, given as API parameters."""
        guess = self._guess(params)
        name, start = self._family_of(params.get("model"))
        with self._lock:
            return self._calibration(name, start).count(guess)

    def learn(self, params: Mapping[str, Any], observed_prompt_tokens: int) -> None:
        """Take into account how many tokens a prompt really had.

        A prompt without anything in it teaches nothing.

        Args:
            params: The request, as API parameters.
            observed_prompt_tokens: `Usage.prompt_tokens` of its reply, or the API's own count.

        Raises:
            UsageError: If the count is not a whole number from 1 on.
        """
        if type(observed_prompt_tokens) is not int or observed_prompt_tokens < 1:
            raise UsageError(
                f"observed_prompt_tokens={observed_prompt_tokens!r} is no size of a prompt.",
                hint="Pass the prompt_tokens of the reply's usage.",
            )
        guess = self._guess(params)
        if not guess:
            return
        name, start = self._family_of(params.get("model"))
        with self._lock:
            self._calibration(name, start).learn(guess, observed_prompt_tokens)

    @shows_no_text
    def on_event(self, event: Event) -> None:
        """Learn from every call that the model answered; an event sink."""
        if not isinstance(event, ModelCallFinished) or event.reply.cache_hit is not None:
            return
        observed = event.reply.usage.prompt_tokens
        if observed > 0:
            self.learn({**event.call.to_params(), "model": event.reply.model}, observed)

    def accuracy(self) -> list[CounterAccuracy]:
        """Return how good the counts are, for every family that was counted or learned."""
        with self._lock:
            return [found.accuracy(name) for name, found in sorted(self._families.items())]

    def _calibration(self, name: str, start: float) -> _Calibration:
        found = self._families.get(name)
        if found is None:
            # Names come from callers: whatever is beyond all reason shares one calibration.
            name = name if len(self._families) < _MAX_FAMILIES else _UNKNOWN
            found = self._families.setdefault(name, _Calibration(start))
        return found

    def _family_of(self, model: Any) -> tuple[str, float]:
        """Return the name of a model's family, and the ratio that it starts with."""
        if not isinstance(model, str):
            return _UNKNOWN, 1.0
        if self._catalog is None:
            from sdk_workflow.config.models import default_catalog

            self._catalog = default_catalog()
        found = self._catalog.get(model)
        if found is None:
            return model, 1.0
        return (
            f"{found.tier or found.id} x{found.token_factor:g}",
            found.token_factor / _GUESSED_FACTOR,
        )


class _Calibration:
    """The ratio of one family, and the errors made with it."""

    __slots__ = ("_errors", "_ordered", "_ratios", "observations")

    def __init__(self, start: float) -> None:
        self.observations = 0
        self._ratios = deque([start])
        self._ordered = [start]  # the same ratios by size
        self._errors: deque[float] = deque(maxlen=_MAX_ERRORS)

    @property
    def ratio(self) -> float:
        half = len(self._ordered) // 2
        return (self._ordered[half] + self._ordered[~half]) / 2

    def count(self, guess: int) -> int:
        return math.ceil(guess * self.ratio)

    def learn(self, guess: int, observed: int) -> None:
        self.observations += 1
        self._errors.append(abs(self.count(guess) - observed) / observed)
        if len(self._ratios) == _MAX_RATIOS:
            del self._ordered[bisect_left(self._ordered, self._ratios.popleft())]
        self._ratios.append(observed / guess)
        insort(self._ordered, observed / guess)

    def accuracy(self, family: str) -> CounterAccuracy:
        mean = p95 = None
        if self._errors:
            ordered = sorted(self._errors)
            mean = 100 * math.fsum(ordered) / len(ordered)
            p95 = 100 * ordered[math.ceil(0.95 * len(ordered)) - 1]
        return CounterAccuracy(
            family=family,
            ratio=self.ratio,
            observations=self.observations,
            mean_absolute_error_pct=mean,
            p95_absolute_error_pct=p95,
        )
