from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sdk_workflow._internal.clock import VirtualClock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions" / "s.sqlite"
