"""Figures as a person reads them, in few characters; what is not known is a hyphen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "UNKNOWN",
    "as_ascii",
    "bar",
    "clock_time",
    "count",
    "duration",
    "milliseconds",
    "share",
    "sparkline",
    "usd",
]

UNKNOWN = "-"

_THOUSAND = 1_000
_STEPS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_FULL, _EMPTY = "\u2588", "\u2591"
_ASCII = str.maketrans(
    {**dict(zip(_STEPS, " ..::-=+#", strict=True)), _EMPTY: ".", "…": "~", "·": ",", "│": "|",
     "↑": "^", "↓": "v", "▸": ">", "─": "-"}
)  # fmt: skip
_SECONDS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s"))


def count(value: float | None) -> str:
    """Return a number: whole below 10,000, then in thousands, millions and so on.

    Example:
        >>> count(9999), count(12_345), count(2_500_000), count(None)
        ('9999', '12.3k', '2.5M', '-')
    """
    if value is None:
        return UNKNOWN
    if abs(value) < 10 * _THOUSAND:
        return f"{value:.0f}"
    for unit in "kMG":
        value /= _THOUSAND
        if abs(value) < _THOUSAND:
            return f"{value:.1f}{unit}"
    return f"{value / _THOUSAND:.1f}T"


def usd(value: float | None) -> str:
    """Return dollars: of small amounts the first digits that are none of zero.

    Example:
        >>> usd(0), usd(0.00042), usd(0.5), usd(12.345), usd(12_345)
        ('$0', '$0.00042', '$0.500', '$12.35', '$12.3k')
    """
    if value is None:
        return UNKNOWN
    size = abs(value)
    if size >= 10 * _THOUSAND:
        return f"${count(value)}"
    if size >= 1:
        return f"${value:.2f}"
    if size >= 0.01:  # noqa: PLR2004 - a cent
        return f"${value:.3f}"
    return f"${value:.5f}" if size >= 0.000005 else "$0"  # noqa: PLR2004 - rounds to that


def milliseconds(value: float | None) -> str:
    """Return a duration given in milliseconds.

    Example:
        >>> milliseconds(0.25), milliseconds(45.2), milliseconds(1234), milliseconds(90_000)
        ('0.2ms', '45ms', '1.23s', '1m30s')
    """
    if value is None:
        return UNKNOWN
    if value < 10:  # noqa: PLR2004 - one digit before the point
        return f"{value:.1f}ms"
    if value < _THOUSAND:
        return f"{value:.0f}ms"
    seconds = value / _THOUSAND
    return f"{seconds:.2f}s" if seconds < 60 else duration(seconds)  # noqa: PLR2004 - a minute


def duration(seconds: float | None) -> str:
    """Return a duration in its two greatest units.

    Example:
        >>> duration(5), duration(725), duration(11_520), duration(180_000)
        ('5s', '12m05s', '3h12m', '2d02h')
    """
    if seconds is None:
        return UNKNOWN
    whole = int(max(seconds, 0))
    for size, unit, small, small_unit in _SECONDS:
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // small:02d}{small_unit}"
    return f"{whole}s"


def share(value: float | None) -> str:
    """Return a share as per cent.

    Example:
        >>> share(0), share(0.004), share(0.956), share(1.2)
        ('0%', '0.4%', '96%', '120%')
    """
    if value is None:
        return UNKNOWN
    percent = value * 100
    return f"{percent:.1f}%" if 0 < percent < 1 else f"{percent:.0f}%"


def clock_time(at: float | None) -> str:
    """Return the time of day of seconds since the Unix epoch, UTC.

    Example:
        >>> clock_time(3_661)
        '01:01:01'
    """
    if at is None:
        return UNKNOWN
    minutes, seconds = divmod(int(at), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02d}:{minutes:02d}:{seconds:02d}"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Return the course of a figure, at most so many characters wide; what is not known is blank.

    Example:
        >>> sparkline([0, 1, None, 2, 8], 10)
        '▁▂ ▃█'
    """
    if width < 1 or not values:
        return ""
    size = -(-len(values) // width)
    # From the end, so that what has just happened does not share its place with something else.
    groups = [values[max(end - size, 0) : end] for end in range(len(values), 0, -size)][::-1]
    peaks = [max((v for v in group if v is not None), default=None) for group in groups]
    top = max((peak for peak in peaks if peak is not None), default=0) or 1
    return "".join(" " if peak is None else _STEPS[_step(peak / top)] for peak in peaks)


def bar(value: float, width: int) -> str:
    """Return a bar of which so great a share is full.

    Example:
        >>> bar(0.5, 4)
        '██░░'
    """
    full = round(min(max(value, 0), 1) * width)
    return _FULL * full + _EMPTY * (width - full)


def as_ascii(text: str) -> str:
    """Return text for a terminal without Unicode, in as many characters.

    Example:
        >>> as_ascii("▁█ … é")
        '.# ~ ?'
    """
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def _step(part: float) -> int:
    """Return 1 to 8: nothing at all is the lowest, which is still a line."""
    return 1 + min(round(max(part, 0) * 7), 7)
