"""What figures depend on: the machine, its load, Python, and the packages that are there."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from sdk_workflow._internal.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MachineFacts", "differences", "machine_facts"]

# What changes how quick the library is, or what it can do: its own extras and its main libraries.
_PACKAGES = (
    *("anthropic", "anyio", "httpx2", "pydantic", "typer", "rich"),
    *("aiohttp", "numpy", "tokenizers", "sentence-transformers", "backports-zstd", "cryptography"),
)
_SAME = ("python", "platform", "cpu", "cores")


class MachineFacts(TypedDict):
    """The machine; `cores` are those that this process may use, `load` is that of the last minute."""

    python: str
    platform: str
    cpu: str
    cores: int
    load: float | None
    sdk_workflow: str
    packages: dict[str, str]


def machine_facts() -> MachineFacts:
    """Return what the figures of this process depend on.

    Example:
        >>> machine_facts()["cores"] >= 1
        True
    """
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": _cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "sdk_workflow": __version__,
        "packages": {name: version for name in _PACKAGES if (version := _version_of(name))},
    }


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Return what makes figures of two machines incomparable: a phrase each.

    Example:
        >>> differences({"cores": 2}, {"cores": 8})
        ['cores: 2, now 8']
    """
    return [
        f"{name}: {one.get(name)}, now {other.get(name)}"
        for name in _SAME
        if one.get(name) != other.get(name)
    ]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or sys.platform
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
