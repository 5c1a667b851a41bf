"""Notices that tools or system text differ between calls, and says why, without quoting them.

What moves at the front of a prompt costs the cache of all that follows. It compares; who is told
is decided elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sdk_workflow.core.prompt_caching.anatomy import MARK, bare, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk_workflow.types import Block, Call

__all__ = [
    "PrefixChange",
    "assert_stable_prefix",
    "compare_prefixes",
    "find_prefix_change",
    "skeleton_of",
]

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DAYS = "mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun"
_ID = re.compile(
    r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"  # a UUID
    r"|\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{12,}\b"  # a hexadecimal digest
    r"|\b[a-z]{2,10}_[0-9a-z]{12,}\b",  # such as req_011CQz...
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?(?: ?Z|[+-]\d{2}:?\d{2})?"
    r"|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"
    r"|\b\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[ap]\.?m\b\.?)?"
    rf"|\b(?:{_MONTHS})[a-z]*\.? \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?\b"
    rf"|\b\d{{1,2}}\.? (?:{_MONTHS})[a-z]*\.?(?:,? \d{{4}})?\b"
    rf"|\b(?:{_DAYS})(?:day)?\b"
    r"|\b1[5-9]\d{8}(?:\.\d+|\d{3})?\b",  # seconds or milliseconds since 1970
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_MASKS: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = (
    ("a date or a time in the text", (_TIME,)),
    ("an identifier in the text", (_ID,)),
    ("a number in the text", (_NUMBER,)),
    ("dates, identifiers or numbers in the text", (_ID, _TIME, _NUMBER)),
)
_MASKED = "\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixChange:
    """What of a prompt has moved: `part`, and in `reason` how, without any text of the prompt."""

    part: Literal["tools", "system"]
    reason: str


def find_prefix_change(call_a: Call, call_b: Call) -> PrefixChange | None:
    """Return how tools or system text of two calls differ; None where a cache can serve both.

    Breakpoints do not count. Of several changes the first in the order of rendering is named: the
    cache is lost from there on.

    Example:
        >>> from sdk_workflow.types import Call
        >>> def call(system: str) -> Call:
        ...     return Call(model="claude-haiku-5-5", messages=(), system=system)
        >>> find_prefix_change(call("Today is 2026-11-20."), call("Today is 2026-11-21."))
        PrefixChange(part='system', reason='a date or a time in the text')
    """
    return compare_prefixes((call_a.tools, call_a.system), (call_b.tools, call_b.system))


def assert_stable_prefix(call_a: Call, call_b: Call) -> None:
    """Fail where tools or system text of two calls differ: for the tests of a prompt's authors.

    Raises:
        AssertionError: They differ; the message says in which part, and how.
    """
    change = find_prefix_change(call_a, call_b)
    if change is not None:
        raise AssertionError(
            f"The prompt's {change.part} differ between the calls: {change.reason}. Nothing behind "
            "it can be read from the prompt cache."
        )


def compare_prefixes(
    before: tuple[Sequence[Mapping[str, Any]], str | tuple[Block, ...] | None],
    after: tuple[Sequence[Mapping[str, Any]], str | tuple[Block, ...] | None],
) -> PrefixChange | None:
    """Do what `find_prefix_change` does with tools and system prompts."""
    reason = _tools_reason(before[0], after[0])
    if reason is not None:
        return PrefixChange(part="tools", reason=reason)
    reason = _system_reason(before[1], after[1])
    return None if reason is None else PrefixChange(part="system", reason=reason)


def skeleton_of(tools: Sequence[Mapping[str, Any]], system: str | tuple[Block, ...] | None) -> int:
    """Return what prefixes have in common that differ in order or in passing values only."""
    prints = sorted(_masked(str(_unordered(bare(tool))), _MASKS[-1][1]) for tool in tools)
    texts = [_masked(text, _MASKS[-1][1]) for text in _texts(system)]
    return hash((tuple(prints), tuple(texts)))


def _tools_reason(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> str | None:
    old, new = [bare(tool) for tool in before], [bare(tool) for tool in after]
    if fingerprint(old) == fingerprint(new):
        return None
    if old == new:
        return "the order of the keys in a definition"
    old_names, new_names = [_name(tool) for tool in old], [_name(tool) for tool in new]
    if old_names == new_names:
        return _definition_reason(old, new)
    return _choice_reason(old_names, new_names)


def _choice_reason(old: Sequence[str], new: Sequence[str]) -> str:
    if sorted(old) == sorted(new):
        return "the order of the tools"
    if set(old) <= set(new):
        return "a tool was added"
    return "a tool was removed" if set(old) >= set(new) else "other tools"


def _definition_reason(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> str:
    old, new = str([_unordered(tool) for tool in before]), str([_unordered(tool) for tool in after])
    return _text_reason(old, new) or "the definition of a tool"


def _system_reason(
    before: str | tuple[Block, ...] | None, after: str | tuple[Block, ...] | None
) -> str | None:
    old, new = _texts(before), _texts(after)
    if old == new:
        return None
    if sorted(old) == sorted(new):
        return "the order of the blocks"
    return _text_reason("\1".join(old), "\1".join(new)) or "the text"


def _text_reason(old: str, new: str) -> str | None:
    """Return which passing values are all that differs; None where more does."""
    for reason, patterns in _MASKS:
        if _masked(old, patterns) == _masked(new, patterns):
            return reason
    return None


def _masked(text: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    for pattern in patterns:
        text = pattern.sub(_MASKED, text)
    return text


def _texts(system: str | tuple[Block, ...] | None) -> list[str]:
    if system is None or isinstance(system, str):
        return [system] if system else []
    return [str(block.get("text", "")) for block in system]


def _name(tool: Mapping[str, Any]) -> str:
    return str(tool.get("name") or tool.get("type"))


def _unordered(value: Any) -> Any:
    """Return a JSON value with its keys in alphabetical order."""
    if isinstance(value, dict):
        return {key: _unordered(value[key]) for key in sorted(value, key=str) if key != MARK}
    if isinstance(value, (list, tuple)):
        return [_unordered(each) for each in value]
    return value
