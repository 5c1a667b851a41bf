"""What is known of a session besides its content: title, tags, status, times and what it has spent.

Pure values and how they change; it knows no file, no catalogue and no event.
"""

from __future__ import annotations

import dataclasses
import hashlib
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Literal, get_args

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import UsageError

__all__ = [
    "SESSION_STATUSES",
    "CutOff",
    "RunEnd",
    "SessionInfo",
    "SessionStatus",
    "Spent",
    "check_status",
    "check_tags",
    "check_title",
    "cleaned",
    "iso_time",
    "run_key",
]

SessionStatus = Literal["active", "completed", "failed", "cancelled"]
"""How a session stands; one whose process died stays active until it is ended or goes on."""

SESSION_STATUSES: tuple[SessionStatus, ...] = get_args(SessionStatus)

MAX_TITLE = 200
MAX_TEXT = 2000
MAX_TAG = 64
MAX_TAGS = 32
_MAX_ERROR = 500
_PICO_PER_USD = 10**12
_SHOWN = 40
# A date of another era would not sort as text.
_FIRST_SECOND, _LAST_SECOND = 0.0, 253_402_300_799.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What runs have taken: model calls, tokens of prompts (cached ones too) and answers, pico-dollars.

    Calls of models without a known price count with their tokens and cost 0.
    """

    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_pico: int = 0

    def __add__(self, other: Spent) -> Spent:
        """Add field by field."""
        return Spent(
            turns=self.turns + other.turns,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_pico=self.cost_pico + other.cost_pico,
        )

    def __sub__(self, other: Spent) -> Spent:
        """Subtract field by field."""
        return Spent(
            turns=self.turns - other.turns,
            input_tokens=self.input_tokens - other.input_tokens,
            output_tokens=self.output_tokens - other.output_tokens,
            cost_pico=self.cost_pico - other.cost_pico,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """A run that failed: the key of its message, and what of the session's total is its part.

    When it is resumed, its end reports the whole run again, and that part must not count twice.
    """

    key: str
    spent: Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """What a run reports at its end.

    Attributes:
        key: The key of its message.
        spent: What it has taken, with the part before it was resumed.
        has_whole_cost: Whether that holds for the cost too, or only for turns and tokens.
        may_be_resumed: Whether it has taken more than what was seen of it.
    """

    key: str
    spent: Spent
    has_whole_cost: bool
    may_be_resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """One session as a list shows it.

    Times are UTC, ISO 8601 with six decimals and `Z`, so that they sort as text. `last_version`
    and `chain` say how far its session file was known to go.

    Example:
        >>> info = SessionInfo(session_id="review-42", started_at=iso_time(0), title="Review")
        >>> info.ended(status="completed", now=60.0).ended_at
        '1970-01-01T00:01:00.000000Z'
    """

    session_id: str
    started_at: str
    updated_at: str = ""
    status: SessionStatus = "active"
    title: str = ""
    first_message: str = ""
    model: str | None = None
    tags: tuple[str, ...] = ()
    ended_at: str | None = None
    archived_at: str | None = None
    spent: Spent = field(default_factory=Spent)
    last_error: str | None = None
    last_version: int = 0
    chain: str = ""
    cut_off: CutOff | None = None

    def __post_init__(self) -> None:
        """Take the start for the last use, where nothing else is known."""
        if not self.updated_at:
            object.__setattr__(self, "updated_at", self.started_at)

    @property
    def cost_usd(self) -> float:
        """The cost in dollars: for showing, not for adding."""
        return self.spent.cost_pico / _PICO_PER_USD

    @property
    def turns(self) -> int:
        """The model calls of all runs."""
        return self.spent.turns

    def to_json(self) -> dict[str, Any]:
        """Return what concerns a user, as plain JSON."""
        fields = dataclasses.asdict(self)
        del fields["cut_off"], fields["spent"], fields["chain"], fields["first_message"]
        return {
            **fields,
            "tags": list(self.tags),
            "turns": self.spent.turns,
            "input_tokens": self.spent.input_tokens,
            "output_tokens": self.spent.output_tokens,
            "cost_usd": self.cost_usd,
        }

    def begun(self, *, text: str, model: str, now: float) -> SessionInfo:
        """Return the session as a run of it begins; its first message names a session without title."""
        message = self.first_message or cleaned(text, MAX_TEXT)
        return replace(
            self._touched(now),
            status="active",
            ended_at=None,
            first_message=message,
            title=self.title or cleaned(message, MAX_TITLE),
            model=cleaned(model, MAX_TITLE) or None,
        )

    def finished(self, *, run: RunEnd, now: float) -> SessionInfo:
        """Return the session after a run of it has answered."""
        ended = self.ended(status="completed", now=now)
        return replace(ended, spent=self._plus(run)[0], cut_off=None, last_error=None)

    def failed(self, *, run: RunEnd, error: str, status: SessionStatus, now: float) -> SessionInfo:
        """Return the session after a run of it has failed."""
        total, part = self._plus(run)
        return replace(
            self.ended(status=status, now=now),
            spent=total,
            cut_off=CutOff(key=run.key, spent=part),
            last_error=cleaned(error, _MAX_ERROR),
        )

    def ended(self, *, status: SessionStatus, now: float) -> SessionInfo:
        """Return the session with an end."""
        touched = self._touched(now)
        return replace(touched, status=status, ended_at=touched.updated_at)

    def tagged(self, tags: list[str], *, now: float, remove: bool = False) -> SessionInfo:
        """Return the session with more tags, or with fewer.

        Raises:
            UsageError: If it would have too many.
        """
        kept = [tag for tag in self.tags if tag not in tags]
        merged = tuple(sorted(kept if remove else {*self.tags, *tags}))
        if len(merged) > MAX_TAGS:
            raise UsageError(
                f"Session {self.session_id!r} would have {len(merged)} tags; {MAX_TAGS} are allowed.",
                hint="Remove some tags first.",
            )
        return self if merged == self.tags else replace(self._touched(now), tags=merged)

    def archived(self, *, now: float) -> SessionInfo:
        """Return the session as put away."""
        return replace(self, archived_at=self.archived_at or iso_time(now))

    def unarchived(self) -> SessionInfo:
        """Return the session as brought back."""
        return replace(self, archived_at=None)

    def at(self, version: int, chain: str) -> SessionInfo:
        """Return the session with how far its file goes."""
        return replace(self, last_version=version, chain=chain)

    def _touched(self, now: float) -> SessionInfo:
        # Never earlier than before: a clock that went back must not make a session look old.
        return replace(self, updated_at=max(self.updated_at, iso_time(now)))

    def _plus(self, run: RunEnd) -> tuple[Spent, Spent]:
        """Return the total with a run, and what of it is the run's; a resumed run counts once."""
        before = Spent()
        if run.may_be_resumed and self.cut_off is not None and self.cut_off.key == run.key:
            before = self.cut_off.spent
        part = run.spent
        if not run.has_whole_cost:
            part = replace(part, cost_pico=part.cost_pico + before.cost_pico)
        return self.spent - before + part, part


def iso_time(seconds: float) -> str:
    """Return seconds since the Unix epoch as text that sorts by time; before 1970 counts as 1970.

    Example:
        >>> iso_time(1_800_000_000.25)
        '2027-01-15T08:00:00.250000Z'
    """
    within = min(max(seconds, _FIRST_SECOND), _LAST_SECOND)
    moment = datetime.fromtimestamp(within, tz=timezone.utc)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def run_key(text: str) -> str:
    """Return what tells the message of one run from that of another, without holding it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def cleaned(text: str, limit: int) -> str:
    r"""Return text on one line, without control characters and halves of surrogate pairs, cut.

    Example:
        >>> cleaned(" Look at\n\nthis\x1b[31m file ", 14)
        'Look at this…'
    """
    # Four times the limit is enough to look at: the rest of 10 MB would only be thrown away.
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * limit])
    line = " ".join(printable.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def check_title(title: object) -> str:
    """Return a title that a user gave, without spaces around it.

    Raises:
        UsageError: If it is no text, too long, or holds what cannot be printed.
    """
    return _checked("A title", title, MAX_TITLE)


def check_tags(tags: object) -> list[str]:
    """Return tags that a user gave, each once.

    Raises:
        UsageError: If one is empty, too long, or holds what cannot be printed.
    """
    if isinstance(tags, str) or not isinstance(tags, (list, tuple, set, frozenset)):
        raise UsageError(
            f"Tags come as a list of texts, not as {type(tags).__name__}.",
            hint="Write ['urgent'], not 'urgent'.",
        )
    found = sorted({_checked("A tag", tag, MAX_TAG) for tag in tags})
    if "" in found:
        raise UsageError("A tag is empty.", hint="Name it, such as 'urgent'.")
    return found


def check_status(status: object) -> SessionStatus:
    """Return a status, or refuse another word.

    Raises:
        UsageError: If there is no such status.
    """
    for known in SESSION_STATUSES:
        if status == known:
            return known
    shown = repr(status)[:_SHOWN]
    raise UsageError(
        f"There is no status {shown}.",
        hint=did_you_mean(str(status)[:_SHOWN], SESSION_STATUSES)
        or f"Choose one of {', '.join(SESSION_STATUSES)}.",
    )


def _checked(what: str, text: object, limit: int) -> str:
    if not isinstance(text, str):
        raise UsageError(f"{what} is of type {type(text).__name__}.", hint="Give it as text.")
    if len(text) > limit:
        raise UsageError(
            f"{what} has {len(text):,} characters; {limit} are allowed.", hint="Shorten it."
        )
    if not text.isprintable():
        raise UsageError(
            f"{what} {ascii(text)[:_SHOWN]} holds characters that cannot be printed.",
            hint="Leave out line breaks, control characters and halves of surrogate pairs.",
        )
    # Composed, so that two tags that look alike are one: macOS writes an accent by itself.
    return unicodedata.normalize("NFC", text.strip())
