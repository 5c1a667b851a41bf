"""The limits of one run, as the session holds them and as one message may change them."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import DeadlineExceeded, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["RunOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How far one run may go.

    Attributes:
        max_tokens: Output tokens of one model call.
        max_turns: Model calls of one run.
        timeout_seconds: Wall time of one run; None for no limit.
        stream: Whether text is shown as it arrives.
        parameters: Further Messages-API parameters by their own names.
    """

    max_tokens: int = 4096
    max_turns: int = 25
    timeout_seconds: float | None = None
    stream: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse limits under which nothing can run."""
        for name in ("max_tokens", "max_turns", "timeout_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} is {value!r}.", hint="Give a number above 0.")

    def changed(self, changes: Mapping[str, Any]) -> RunOptions:
        """Return a copy with some values replaced.

        Raises:
            UsageError: If a name is not an option.
        """
        names = [item.name for item in dataclasses.fields(self)]
        for name in changes:
            if name not in names:
                raise UsageError(
                    f"A run has no option {name!r}.",
                    hint=did_you_mean(name, names) or f"The options are {', '.join(names)}.",
                )
        return dataclasses.replace(self, **changes)

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """End what runs inside when the time of a run is over.

        Raises:
            DeadlineExceeded: If it was.
        """
        import anyio

        try:
            with anyio.fail_after(self.timeout_seconds):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"The run did not finish within {self.timeout_seconds:g} s.",
                hint="Raise the timeout, or ask for less at once.",
            ) from error
