"""Every cut and thousands of turned bits: noticed or harmless, never another history."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from sdk_workflow.storage import frames
from sdk_workflow.storage.errors import CheckpointCorrupt
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.snapshots import Value
from tests.reliability.damage import count_outcomes, cuts, flips, write_session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.reliability.damage import WholeSession


@pytest.fixture(params=[False, True], ids=["closed", "crashed"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> WholeSession:
    return write_session(tmp_path, crashed=request.param)


@pytest.mark.slow
def test_turned_bits_are_noticed_or_harmless(whole: WholeSession, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    outcomes = count_outcomes(tmp_path, whole, flips(whole, 1000, seed))
    assert outcomes["noticed"] > 10
    assert sum(outcomes.values()) == 1000


def test_cuts_are_noticed_or_harmless(whole: WholeSession, tmp_path: Path) -> None:
    step = max(len(data) for data in whole.files.values()) // 60
    for name in whole.files:
        outcomes = count_outcomes(tmp_path, whole, cuts(whole, step, name=name))
        if name == "-wal" or "-wal" not in whole.files:
            # A short head file is harmless: what it would witness is there. So is the loss of
            # pages that the log holds as well.
            assert (outcomes["harmless"] == 0) == (name != ".head"), name
        assert sum(outcomes.values()) > 0


def test_the_hash_of_the_state_is_what_finds_a_turned_bit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SessionFile.open(path, session_id="s", create=True) as file:
        file.append_state({"n": 1})  # too small to be packed, so nothing else has a checksum
    data = path.read_bytes()
    assert data.count(b"}1") == 1
    path.write_bytes(data.replace(b"}1", b"}3"))
    with SessionFile.open(path, session_id="s") as file:
        with pytest.raises(CheckpointCorrupt, match="does not match the hash"):
            file.load()
        monkeypatch.setattr(frames.Replay, "snapshot", unchecked)
        assert file.load() == {"n": 3}


def unchecked(self: frames.Replay, _frame: frames.Frame) -> dict[str, Value]:
    return {key: Value.of(pieces.joined()) for key, pieces in self._keys.items()}
