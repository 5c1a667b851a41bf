"""An agent in a folder, secrets in the environment, and a look at what it leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.security.support import PLANTED, VARIABLES, Agent, left_behind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    folder.mkdir()
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text("the secret outside", encoding="utf-8")
    return path


@pytest.fixture
def agent(root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """An agent that must neither leak, nor touch the outside, nor leave a process behind."""
    for name in VARIABLES:
        monkeypatch.setenv(name, PLANTED)
    before = set(left_behind())
    made = Agent(root)
    yield made
    for text in made.seen:
        assert PLANTED not in text
        assert "the secret outside" not in text
    assert outside.read_text(encoding="utf-8") == "the secret outside"
    assert set(left_behind()) <= before
