"""Reads the hashed requirement files. It knows their lines, not what they are for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+))?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One entry of a lock file.

    Attributes:
        name: The distribution.
        version: The one version of it that is installed.
        marker: The condition under which it is installed, if there is one.
        hashes: What follows each `--hash=`, such as "sha256:0a1b...".
    """

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]


def read_pins(path: Path) -> list[Pin]:
    """Return the pins of a lock file.

    Raises:
        ValueError: If it holds anything but comments and pins with their hashes.
    """
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [_pin(line, path.name) for line in lines if line and not line.startswith("#")]


def _pin(line: str, file_name: str) -> Pin:
    head, *hashes = re.split(r"\s+--hash=", line)
    match = _PIN.match(head.strip())
    if match is None:
        raise ValueError(f"{file_name} holds {line!r}, which is no pin.")
    name, version, marker = match.group("name", "version", "marker")
    return Pin(name=name, version=version, marker=marker, hashes=tuple(hashes))
