"""Every example that a reader could copy runs: docstrings, README and the pages of docs/.

Python blocks of a page run each by itself, in an empty folder with a few files, on the simulator.
A block under the comment `<!-- no-run -->` is only compiled, and shows up as skipped.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.architecture.source_tree import PROJECT, importable_modules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"(?P<mark><!--\s*no-run\s*-->\s*\n)?^(?P<indent>[ ]*)```python[^\n]*\n(?P<code>.*?)^[ ]*```",
    flags=re.MULTILINE | re.DOTALL,
)
# A block may use `await` at its top level, as a notebook does.
_RUNNER = """
import ast, inspect, sys
code = compile(sys.stdin.read(), sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
outcome = eval(code, {"__name__": "__main__"})
if inspect.iscoroutine(outcome):
    import asyncio
    async def run():
        await outcome
    asyncio.run(run())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One Python block of a page."""

    place: str
    code: str
    may_run: bool


def blocks_of(text: str, page: str) -> Iterator[Block]:
    """Yield the Python blocks of a Markdown text."""
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("code"))
        indent = match["indent"]
        code = "".join(
            part.removeprefix(indent) for part in match["code"].splitlines(keepends=True)
        )
        yield Block(place=f"{page}:{line}", code=code, may_run=match["mark"] is None)


BLOCKS = [
    block
    for page in PAGES
    if page.is_file()
    for block in blocks_of(page.read_text(encoding="utf-8"), str(page.relative_to(PROJECT)))
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project to ask about, as the current folder."""
    (tmp_path / "README.md").write_text("# Tides\n\nWhen the water comes.\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("The tide is high at seven.\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", importable_modules())
@pytest.mark.usefixtures("folder")
def test_the_examples_of_a_module_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


def test_there_are_examples_in_the_docstrings() -> None:
    finder, count = doctest.DocTestFinder(exclude_empty=True), 0
    for name in importable_modules():
        found = finder.find(importlib.import_module(name))
        count += sum(bool(test.examples) for test in found)
    assert count > 40


def run_block(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block in a process of its own, on the simulator."""
    return subprocess.run(
        [sys.executable, "-c", _RUNNER, block.place],
        input=block.code,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "SDK_WORKFLOW_BACKEND": "simulator", "PYTHONWARNINGS": "error"},
    )


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_python_block_of_a_page_runs(block: Block, folder: Path) -> None:
    compile(
        block.code, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    if not block.may_run:
        pytest.skip("marked no-run; it compiles")
    result = run_block(block, folder)
    assert result.returncode == 0, result.stderr


# What finds and runs the examples is tried on examples of its own.

PAGE = """
# A page

```python
print("one")
```

```toml
three = 3
```

<!-- no-run -->
```python
call_somebody()
```

- in a list:

  ```python
  if True:
      print("two")
  ```
"""


def test_the_blocks_of_a_page_are_found_with_their_places() -> None:
    assert list(blocks_of(PAGE, "page.md")) == [
        Block(place="page.md:4", code='print("one")\n', may_run=True),
        Block(place="page.md:13", code="call_somebody()\n", may_run=False),
        Block(place="page.md:19", code='if True:\n    print("two")\n', may_run=True),
    ]


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("print(1 + 1)", "2\n"),
        ("import anyio\nawait anyio.lowlevel.checkpoint()\nprint('done')", "done\n"),
        (
            "from sdk_workflow import run_sync\nprint(run_sync('Hello').served_by)",
            "simulator\n",
        ),
    ],
)
def test_a_block_runs_on_the_simulator(code: str, output: str, folder: Path) -> None:
    result = run_block(Block(place="page.md:1", code=code, may_run=True), folder)
    assert (result.returncode, result.stdout) == (0, output), result.stderr


@pytest.mark.parametrize(
    "code", ["1 / 0", "nobody", "await nobody()", "import warnings; warnings.warn('x')"]
)
def test_a_block_that_fails_is_noticed(code: str, folder: Path) -> None:
    assert run_block(Block(place="page.md:1", code=code, may_run=True), folder).returncode == 1
