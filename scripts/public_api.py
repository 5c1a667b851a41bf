"""Keeps the public API in a file of one line per name, and tells where the code no longer agrees.

`python -m scripts.public_api` writes the file, `--check` compares. Signatures are read from the
sources (griffe); only the lists of names (`__all__`) come from imported modules.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROJECT = Path(__file__).resolve().parents[1]
SNAPSHOT = PROJECT / "tests/packaging/public_api.txt"
# What the documentation tells users to import. Everything else may change without notice.
MODULES = (
    "sdk_workflow",
    "sdk_workflow.core",
    "sdk_workflow.embedding",
    "sdk_workflow.events",
    "sdk_workflow.exceptions",
    "sdk_workflow.executors.batch",
    "sdk_workflow.executors.streaming_example",
    "sdk_workflow.managers.checkpoint_manager",
    "sdk_workflow.managers.cost_manager",
    "sdk_workflow.managers.session_manager",
    "sdk_workflow.managers.token_manager",
    "sdk_workflow.protocols",
    "sdk_workflow.testing",
    "sdk_workflow.tools.effects",
    "sdk_workflow.types",
)
_SHOWN_SPECIAL = frozenset({"__aenter__", "__aiter__", "__call__", "__enter__", "__iter__"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How an API moved away from its snapshot.

    Attributes:
        broken: Lines that are gone; what is merely changed has a successor among the added.
        added: Lines that the snapshot does not know yet.
    """

    broken: tuple[str, ...]
    added: tuple[str, ...]


def compare(snapshot: Iterable[str], now: Iterable[str]) -> Difference:
    """Return what a snapshot has and the code has not, and the reverse.

    Example:
        >>> compare(["run(prompt)"], ["run(prompt, *, model)"])
        Difference(broken=('run(prompt)',), added=('run(prompt, *, model)',))
    """
    before, after = set(snapshot), set(now)
    return Difference(broken=tuple(sorted(before - after)), added=tuple(sorted(after - before)))


def describe(modules: Iterable[str], folder: Path = PROJECT) -> list[str]:
    """Return one line for each public name of some modules, and for each public member.

    Args:
        modules: Importable modules that say in `__all__` what is public.
        folder: Where their sources lie.
    """
    import griffe

    loader = griffe.GriffeLoader(search_paths=[str(folder)])
    lines: set[str] = set()
    for name in modules:
        top = name.partition(".")[0]
        if top not in loader.modules_collection:
            loader.load(top, submodules=True)
        module: Any = loader.modules_collection[name]
        for public in importlib.import_module(name).__all__:
            lines.update(_lines(f"{name}.{public}", module.members[public]))
    return sorted(lines)


def _lines(path: str, found: Any) -> Iterator[str]:
    """Yield the lines of a name: where it comes from, then what it is."""
    target = found.final_target if found.is_alias else found
    if target.path != path:
        yield f"{path} = {target.path}"
    yield from _described(target.path, target)


def _described(path: str, item: Any) -> Iterator[str]:
    if item.is_class:
        yield f"{path}({', '.join(str(base) for base in item.bases)}): {_signature(item)}"
        for name, member in item.all_members.items():
            if _is_public(name) and not member.is_module:
                target = member.final_target if member.is_alias else member
                yield from _described(f"{path}.{name}", target)
    elif item.is_function:
        prefix = "async " if "async" in item.labels else ""
        for each in item.overloads or [item]:
            yield f"{path}: {prefix}{_signature(each)}"
    else:
        yield f"{path}: {item.annotation or 'not annotated'}{_value(item)}"


def _signature(item: Any) -> str:
    return " ".join(item.signature().split())


def _value(item: Any) -> str:
    """Return what a constant or an alias of types is; the version is made to change."""
    is_constant = item.parent.is_module and not item.name.startswith("__")
    return f" = {item.value}" if is_constant and item.value is not None else ""


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in _SHOWN_SPECIAL


def _report(found: Difference) -> None:
    for title, lines in (("gone or changed", found.broken), ("new", found.added)):
        for line in lines:
            print(f"{title}: {line}")
    if found.broken:
        print("A name that users may import is gone or changed: see CONTRIBUTING.md, Public API.")
    print("To accept the public API as it is now: make api")


def main(arguments: list[str]) -> int:
    """Write the snapshot, or compare with it and return 1 where it differs."""
    now = describe(MODULES)
    if arguments != ["--check"]:
        SNAPSHOT.write_text("\n".join(now) + "\n", encoding="utf-8")
        print(f"{SNAPSHOT.relative_to(PROJECT)}: {len(now)} lines")
        return 0
    found = compare(SNAPSHOT.read_text(encoding="utf-8").splitlines(), now)
    if found == Difference(broken=(), added=()):
        return 0
    _report(found)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
