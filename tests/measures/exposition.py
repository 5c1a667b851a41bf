"""A strict reader of Prometheus' text format 0.0.4, by the rules of its documentation."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_HELP = re.compile(rf"# HELP ({_NAME}) (.+)")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram)")
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (\S+)")
_ONE_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
_UNESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}

Labels = frozenset[tuple[str, str]]


@dataclass(slots=True)
class Family:
    """One metric: its type, and each sample by its full name and labels."""

    kind: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, suffix: str = "", /, **labels: str) -> float:
        """Return the one sample with exactly these labels whose name ends so."""
        wanted = frozenset(labels.items())
        (found,) = (
            value
            for (name, given), value in self.samples.items()
            if given == wanted and name.endswith(suffix)
        )
        return found


def read_exposition(text: str) -> dict[str, Family]:
    """Return the families of a text; whatever breaks a rule is a ValueError."""
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    families: dict[str, Family] = {}
    helped, family, name = "", None, ""
    for line in text[:-1].split("\n"):
        if match := _HELP.fullmatch(line):
            helped = match[1]
        elif match := _TYPE.fullmatch(line):
            name = match[1]
            if name != helped or name in families:
                raise ValueError(f"out of place: {line}")
            family = families[name] = Family(match[2])
        elif (match := _SAMPLE.fullmatch(line)) and family is not None:
            _add(family, name, match)
        else:
            raise ValueError(f"no line of the format: {line!r}")
    for name, family in families.items():
        _check(name, family)
    return families


def _add(family: Family, name: str, match: re.Match[str]) -> None:
    suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
    if match[1] not in {name + suffix for suffix in suffixes}:
        raise ValueError(f"a sample of another family: {match[0]}")
    pairs = [
        (key, re.sub(r'\\["\\n]', lambda found: _UNESCAPED[found[0]], value))
        for key, value in _ONE_LABEL.findall(match[2] or "")
    ]
    sample = match[1], frozenset(pairs)
    if len(dict(pairs)) != len(pairs) or sample in family.samples:
        raise ValueError(f"told twice: {match[0]}")
    family.samples[sample] = float(match[3])


def _check(name: str, family: Family) -> None:
    if family.kind == "counter" and not name.endswith("_total"):
        raise ValueError(f"a counter called {name}")
    if family.kind != "gauge" and min(family.samples.values(), default=0) < 0:
        raise ValueError(f"{name} goes backwards")
    if family.kind == "histogram":
        for labels in {_without_bound(labels) for _, labels in family.samples}:
            _check_histogram(name, family, labels)


def _check_histogram(name: str, family: Family, labels: Labels) -> None:
    buckets = [
        (float(dict(given)["le"]), value)
        for (sample, given), value in family.samples.items()
        if sample == f"{name}_bucket" and _without_bound(given) == labels
    ]
    counts = [count for _, count in buckets]
    if buckets != sorted(buckets) or counts != sorted(counts):
        raise ValueError(f"buckets of {name} do not ascend")
    if buckets[-1] != (math.inf, family.samples[f"{name}_count", labels]):
        raise ValueError(f"the last bucket of {name} is not its count")
    if (f"{name}_sum", labels) not in family.samples:
        raise ValueError(f"{name} has no sum")


def _without_bound(labels: Labels) -> Labels:
    return frozenset(item for item in labels if item[0] != "le")
