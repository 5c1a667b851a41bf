"""What anybody can see of the checkpoint manager from outside, checked against its promises alone."""

from __future__ import annotations

import inspect
import math
import secrets
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import (
    CheckpointConflict,
    SessionNotFound,
    StorageError,
    UsageError,
)
from sdk_workflow.managers.checkpoint_manager import CheckpointManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = 86_400.0
HOSTILE_IDS = [
    "../../x", "", ".", "..", "CON", "con", "nul", "lpt1", "a" * 129, "a" * 4096, "A", "a b", "a/b",
    "a\\b", "a\0", "a\n", "a.", "\u0430bc", "\uff41", "\ud800", None, 5, b"a",
]  # fmt: skip


@pytest.fixture
def checkpoints(tmp_path: Path) -> Iterator[CheckpointManager]:
    with CheckpointManager(tmp_path / "state") as made:
        yield made


def fill(checkpoints: CheckpointManager, count: int, session_id: str = "tides") -> list[Any]:
    states: list[Any] = []
    turns: list[str] = []
    for number in range(count):
        turns.append(f"turn {number}: " + "the tide comes in and goes out " * 5)
        states.append({"turns": list(turns), "n": number})
        checkpoints.save_checkpoint(session_id, **states[-1])
    return states


# -- signatures --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("save_checkpoint", ["session_id"]),
        ("save_checkpoint_versioned", ["session_id"]),
        ("load_checkpoint", ["session_id"]),
        ("load_checkpoint_version", ["session_id", "version"]),
        ("list_checkpoint_versions", ["session_id"]),
        ("validate_checkpoint", ["session_id", "version"]),
        ("cleanup_old_checkpoints", ["retention_days"]),
        ("backup_checkpoint", ["session_id", "backup_dir"]),
        ("restore_checkpoint", ["backup_path"]),
        ("fork_checkpoint", ["session_id", "version", "new_session_id"]),
        ("migrate", ["session_id"]),
        ("checkpoint_exists", ["session_id"]),
        ("get_analytics", []),
        ("export_metrics", []),
    ],
)
def test_every_promised_method_takes_its_promised_arguments(method: str, names: list[str]) -> None:
    parameters = list(inspect.signature(getattr(CheckpointManager, method)).parameters)
    assert parameters[1 : 1 + len(names)] == names


def test_retention_is_thirty_days_by_default() -> None:
    parameters = inspect.signature(CheckpointManager.cleanup_old_checkpoints).parameters
    assert parameters["retention_days"].default == 30


# -- versions ----------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.text("abcxyz_", min_size=1, max_size=6).filter(lambda name: name != "self")


# How long drawing takes says something of the machine, and nothing of the library.
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(states=st.lists(st.dictionaries(NAMES, JSON, max_size=3), min_size=1, max_size=4))
def test_every_version_comes_back_as_it_was_saved(
    tmp_path: Path, states: list[dict[str, Any]]
) -> None:
    name = "p-" + secrets.token_hex(6)
    with CheckpointManager(tmp_path / "state", durability="off") as checkpoints:
        for state in states:
            checkpoints.save_checkpoint(name, **state)
    with CheckpointManager(tmp_path / "state", durability="off") as checkpoints:
        loaded = [checkpoints.load_checkpoint_version(name, n + 1) for n in range(len(states))]
        assert repr(loaded) == repr(states) or loaded == states
        assert checkpoints.load_checkpoint(name) == states[-1]


def test_versions_count_from_one_and_are_listed_the_oldest_first(
    checkpoints: CheckpointManager,
) -> None:
    numbers = [checkpoints.save_checkpoint_versioned("tides", n=n)[1] for n in range(5)]
    assert numbers == [1, 2, 3, 4, 5]
    listed = checkpoints.list_checkpoint_versions("tides")
    assert [info.version for info in listed] == numbers
    assert all(info.raw_bytes > 0 and info.stored_bytes > 0 for info in listed)


def test_what_does_not_exist_is_none_or_empty_and_nothing_is_created(
    checkpoints: CheckpointManager, tmp_path: Path
) -> None:
    assert checkpoints.load_checkpoint("nobody") is None
    assert checkpoints.load_checkpoint_version("nobody", 1) is None
    assert checkpoints.list_checkpoint_versions("nobody") == []
    assert checkpoints.validate_checkpoint("nobody", 1) is False
    assert checkpoints.checkpoint_exists("nobody") is False
    assert list((tmp_path / "state").rglob("*nobody*")) == []


def test_changing_a_loaded_state_changes_nothing_that_is_stored(
    checkpoints: CheckpointManager,
) -> None:
    fill(checkpoints, 2)
    loaded = checkpoints.load_checkpoint("tides")
    assert loaded is not None
    loaded["turns"].clear()
    again = checkpoints.load_checkpoint("tides")
    assert again is not None
    assert len(again["turns"]) == 2


def test_a_state_that_is_changed_in_place_after_a_save_does_not_spoil_the_next(
    checkpoints: CheckpointManager,
) -> None:
    turns = ["a"]
    checkpoints.save_checkpoint("tides", turns=turns)
    turns[0] = "b"
    checkpoints.save_checkpoint("tides", turns=turns)
    assert checkpoints.load_checkpoint_version("tides", 1) == {"turns": ["a"]}
    assert checkpoints.load_checkpoint_version("tides", 2) == {"turns": ["b"]}


def test_a_key_that_is_left_out_is_gone_in_the_next_version(checkpoints: CheckpointManager) -> None:
    checkpoints.save_checkpoint("tides", a=1, b=2)
    checkpoints.save_checkpoint("tides", b=2)
    assert checkpoints.load_checkpoint("tides") == {"b": 2}


def test_five_hundred_turns_of_two_kilobytes_take_little_more_than_they_are(tmp_path: Path) -> None:
    raw = 0
    with CheckpointManager(tmp_path / "state", durability="off") as checkpoints:
        turns: list[str] = []
        for _ in range(500):
            turns.append(secrets.token_hex(1000) + " " * 46)
            raw += 2048
            checkpoints.save_checkpoint("tides", turns=turns)
        checkpoints.close()
        stored = sum(path.stat().st_size for path in (tmp_path / "state").rglob("tides*"))
        assert stored <= 1.8 * raw
        first = checkpoints.load_checkpoint_version("tides", 250)
        assert first == {"turns": turns[:250]}


def test_files_are_for_their_owner_alone(checkpoints: CheckpointManager, tmp_path: Path) -> None:
    fill(checkpoints, 2)
    checkpoints.backup_checkpoint("tides", tmp_path / "state" / "backups")
    for path in (tmp_path / "state").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


# -- compare and set ---------------------------------------------------------------------------


def test_a_save_on_top_of_an_old_version_is_refused_and_nothing_is_lost(
    checkpoints: CheckpointManager,
) -> None:
    fill(checkpoints, 2)
    with pytest.raises(CheckpointConflict) as caught:
        checkpoints.save_checkpoint("tides", expected_version=1, mine=True)
    assert caught.value.hint
    assert len(checkpoints.list_checkpoint_versions("tides")) == 2
    assert checkpoints.save_checkpoint_versioned("tides", expected_version=2, mine=True)[1] == 3


def test_a_session_can_be_begun_only_once_on_top_of_nothing(checkpoints: CheckpointManager) -> None:
    assert checkpoints.save_checkpoint_versioned("tides", expected_version=0, n=1)[1] == 1
    with pytest.raises(CheckpointConflict):
        checkpoints.save_checkpoint("tides", expected_version=0, n=1)


def test_no_update_of_a_counter_is_lost_between_threads(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path / "state", durability="off") as checkpoints:
        checkpoints.save_checkpoint("tides", count=0)
        conflicts: list[int] = []

        def add_one() -> bool:
            version = checkpoints.list_checkpoint_versions("tides")[-1].version
            state = checkpoints.load_checkpoint_version("tides", version)
            assert state is not None
            count = state["count"] + 1
            try:
                checkpoints.save_checkpoint("tides", expected_version=version, count=count)
            except CheckpointConflict:
                conflicts.append(version)
                return False
            return True

        def add() -> None:
            added = 0
            while added < 20:
                added += add_one()

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert checkpoints.load_checkpoint("tides") == {"count": 80}
        assert checkpoints.get_analytics().conflicts == len(conflicts)


@pytest.mark.parametrize("odd", ["1", 1.0, True, math.nan])
def test_an_expected_version_that_is_no_number_is_a_usage_error(
    checkpoints: CheckpointManager, odd: Any
) -> None:
    checkpoints.save_checkpoint("tides", n=1)
    with pytest.raises(UsageError):
        checkpoints.save_checkpoint("tides", expected_version=odd, n=2)


# -- fork, retention ---------------------------------------------------------------------------


def test_a_fork_begins_with_that_version_and_goes_its_own_way(
    checkpoints: CheckpointManager,
) -> None:
    states = fill(checkpoints, 4)
    path = checkpoints.fork_checkpoint("tides", 2, "ebb")
    assert path.exists()
    assert checkpoints.load_checkpoint("ebb") == states[1]
    checkpoints.save_checkpoint("ebb", own=True)
    assert checkpoints.load_checkpoint("tides") == states[3]
    checkpoints.fork_checkpoint("ebb", 2, "neap")
    assert checkpoints.load_checkpoint("neap") == {"own": True}


def test_a_fork_never_writes_over_a_session(checkpoints: CheckpointManager) -> None:
    fill(checkpoints, 2)
    checkpoints.save_checkpoint("ebb", precious=1)
    with pytest.raises(CheckpointConflict):
        checkpoints.fork_checkpoint("tides", 1, "ebb")
    assert checkpoints.load_checkpoint("ebb") == {"precious": 1}


def test_retention_keeps_all_that_is_young_and_always_the_latest(tmp_path: Path) -> None:
    clock = VirtualClock()
    with CheckpointManager(tmp_path / "state", clock=clock, durability="off") as checkpoints:
        states = []
        for number in range(400):
            state: dict[str, Any] = {
                "turns": [secrets.token_hex(200) for _ in range(3)],
                "n": number,
            }
            states.append(state)
            checkpoints.save_checkpoint("tides", **state)
            clock.advance(DAY / 4)
        gone = checkpoints.cleanup_old_checkpoints(30)
        left = [info.version for info in checkpoints.list_checkpoint_versions("tides")]
        assert gone == 400 - len(left) > 0
        assert set(range(400 - 30 * 4 + 1, 401)) <= set(left)
        assert left == list(range(left[0], 401))
        for version in left:
            assert checkpoints.validate_checkpoint("tides", version)
            assert checkpoints.load_checkpoint_version("tides", version) == states[version - 1]
        assert checkpoints.load_checkpoint_version("tides", 1) is None
        clock.advance(1000 * DAY)
        checkpoints.cleanup_old_checkpoints(0)
        assert checkpoints.load_checkpoint("tides") == states[-1]
        assert checkpoints.save_checkpoint_versioned("tides", n=0)[1] == 401


def test_keeping_versions_keeps_at_least_so_many(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path / "state", keep_versions=10, durability="off") as checkpoints:
        for number in range(300):
            checkpoints.save_checkpoint("tides", noise=secrets.token_hex(300), n=number)
        left = checkpoints.list_checkpoint_versions("tides")
        assert 10 <= len(left) < 300
        for info in left:
            state = checkpoints.load_checkpoint_version("tides", info.version)
            assert state is not None
            assert state["n"] == info.version - 1


@pytest.mark.parametrize("days", [-1, math.nan, "x", None])
def test_a_retention_that_makes_no_sense_deletes_nothing(
    checkpoints: CheckpointManager, days: Any
) -> None:
    fill(checkpoints, 3)
    with pytest.raises(UsageError):
        checkpoints.cleanup_old_checkpoints(days)
    assert len(checkpoints.list_checkpoint_versions("tides")) == 3


def test_a_retention_of_more_days_than_a_float_holds_is_a_clear_error(
    checkpoints: CheckpointManager,
) -> None:
    fill(checkpoints, 1)
    with pytest.raises(UsageError):
        checkpoints.cleanup_old_checkpoints(10**400)


def test_the_clock_going_backwards_loses_nothing_and_the_list_stays_in_order(
    tmp_path: Path,
) -> None:
    with CheckpointManager(tmp_path / "state", clock=VirtualClock(2e9)) as later:
        later.save_checkpoint("tides", n=1)
    with CheckpointManager(tmp_path / "state", clock=VirtualClock(1e9)) as earlier:
        earlier.save_checkpoint("tides", n=2)
        listed = earlier.list_checkpoint_versions("tides")
        assert [info.version for info in listed] == [1, 2]
        assert listed[0].created_at <= listed[1].created_at
        assert earlier.cleanup_old_checkpoints(30) == 0
        assert earlier.load_checkpoint("tides") == {"n": 2}


# -- backup and restore ------------------------------------------------------------------------


def test_a_backup_brings_every_version_back_into_an_empty_folder(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path / "old") as old:
        states = fill(old, 5)
        backup = old.backup_checkpoint("tides", tmp_path / "backups")
    assert backup.parent == tmp_path / "backups"
    with CheckpointManager(tmp_path / "new") as new:
        assert new.restore_checkpoint(backup) == "tides"
        assert [new.load_checkpoint_version("tides", n + 1) for n in range(5)] == states
        assert new.save_checkpoint_versioned("tides", n=6)[1] == 6


def test_a_backup_whose_file_was_renamed_still_knows_its_session(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path / "old") as old:
        fill(old, 2)
        backup = old.backup_checkpoint("tides", tmp_path / "backups").rename(tmp_path / "ebb.bak")
    with CheckpointManager(tmp_path / "new") as new:
        assert new.restore_checkpoint(backup) == "tides"


def test_an_older_backup_does_not_replace_what_was_saved_since(
    checkpoints: CheckpointManager, tmp_path: Path
) -> None:
    fill(checkpoints, 3)
    backup = checkpoints.backup_checkpoint("tides", tmp_path / "backups")
    checkpoints.save_checkpoint("tides", newer=True)
    with pytest.raises(CheckpointConflict):
        checkpoints.restore_checkpoint(backup)
    assert checkpoints.load_checkpoint("tides") == {"newer": True}


def test_a_backup_of_another_branch_does_not_replace_a_session(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path / "a") as other:
        fill(other, 5)
        backup = other.backup_checkpoint("tides", tmp_path / "backups")
    with CheckpointManager(tmp_path / "b") as own:
        own.save_checkpoint("tides", mine=True)
        with pytest.raises(CheckpointConflict):
            own.restore_checkpoint(backup)
        assert own.load_checkpoint("tides") == {"mine": True}


def test_restoring_twice_is_the_same_as_once(
    checkpoints: CheckpointManager, tmp_path: Path
) -> None:
    states = fill(checkpoints, 3)
    backup = checkpoints.backup_checkpoint("tides", tmp_path / "backups")
    for _ in range(2):
        assert checkpoints.restore_checkpoint(backup) == "tides"
    assert checkpoints.load_checkpoint("tides") == states[-1]


# -- encryption --------------------------------------------------------------------------------


def test_an_encrypted_session_shows_nothing_and_opens_with_its_key_alone(tmp_path: Path) -> None:
    key, home = b"k" * 32, tmp_path / "state"
    secret = "Sostratus of Cnidus"
    with CheckpointManager(home, encryption_key=key) as locked:
        for number in range(3):
            locked.save_checkpoint("tides", secret_name=secret, n=number)
        backup = locked.backup_checkpoint("tides", tmp_path / "state" / "backups")
        locked.fork_checkpoint("tides", 1, "ebb")
        stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert secret.encode() not in stored
    assert b"secret_name" not in stored
    for wrong in (None, b"w" * 32):
        with CheckpointManager(home, encryption_key=wrong) as other:
            with pytest.raises(StorageError) as caught:
                other.load_checkpoint("tides")
            assert caught.value.hint
            with pytest.raises(StorageError):
                other.save_checkpoint("tides", n=9)
            with pytest.raises(StorageError):
                other.restore_checkpoint(backup)
    with CheckpointManager(home, encryption_key=key) as again:
        assert again.load_checkpoint("tides") == {"secret_name": secret, "n": 2}
        assert again.restore_checkpoint(backup) == "tides"


def test_a_key_for_a_session_that_was_never_encrypted_is_told(tmp_path: Path) -> None:
    with CheckpointManager(tmp_path) as plain:
        plain.save_checkpoint("tides", n=1)
    locked = CheckpointManager(tmp_path, encryption_key=b"k" * 32)
    with locked, pytest.raises(StorageError):
        locked.save_checkpoint("tides", n=2)
    with CheckpointManager(tmp_path) as plain:
        assert plain.load_checkpoint("tides") == {"n": 1}


@pytest.mark.parametrize("key", [b"short", "k" * 32, b"k" * 33])
def test_a_key_that_is_not_32_bytes_is_refused_at_once(tmp_path: Path, key: Any) -> None:
    with pytest.raises(UsageError):
        CheckpointManager(tmp_path, encryption_key=key)


# -- bad input ---------------------------------------------------------------------------------

BY_ID: list[Callable[[CheckpointManager, Any], object]] = [
    lambda manager, name: manager.save_checkpoint(name, n=1),
    lambda manager, name: manager.load_checkpoint(name),
    lambda manager, name: manager.load_checkpoint_version(name, 1),
    lambda manager, name: manager.list_checkpoint_versions(name),
    lambda manager, name: manager.validate_checkpoint(name, 1),
    lambda manager, name: manager.checkpoint_exists(name),
    lambda manager, name: manager.migrate(name),
    lambda manager, name: manager.fork_checkpoint("tides", 1, name),
    lambda manager, name: manager.fork_checkpoint(name, 1, "ebb"),
]


@pytest.mark.parametrize("hostile", HOSTILE_IDS, ids=lambda name: ascii(name)[:12])
def test_a_hostile_id_is_refused_everywhere_and_reaches_no_path(
    tmp_path: Path, hostile: Any
) -> None:
    home = tmp_path / "a" / "b" / "state"
    with CheckpointManager(home) as checkpoints:
        checkpoints.save_checkpoint("tides", n=1)
        before = sorted(tmp_path.rglob("*"))
        for ask in BY_ID:
            with pytest.raises(UsageError) as caught:
                ask(checkpoints, hostile)
            assert caught.value.code == "invalid_session_id"
            assert len(str(caught.value)) < 300
        assert sorted(tmp_path.rglob("*")) == before


def deep(depth: int) -> list[Any]:
    outer: list[Any] = []
    inner = outer
    for _ in range(depth):
        inner.append([])
        inner = inner[0]
    return outer


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, 2**64, -(2**63) - 1, "\ud800", {"\ud800": 1}, b"x", {1}, {1: 2},
        {True: 1}, (1, 2), object(), CYCLE, deep(100_000),
    ],
    ids=[
        "nan", "inf", "2**64", "-2**63-1", "surrogate", "surrogate key", "bytes", "set", "int key",
        "bool key", "tuple", "object", "cycle", "100,000 deep",
    ],
)  # fmt: skip
def test_what_json_cannot_hold_is_refused_with_its_place_and_nothing_is_lost(
    checkpoints: CheckpointManager, value: Any
) -> None:
    states = fill(checkpoints, 2)
    with pytest.raises(UsageError) as caught:
        checkpoints.save_checkpoint("tides", good=1, outer={"bad": value})
    assert "$.outer" in str(caught.value)
    assert len(str(caught.value)) < 400
    assert checkpoints.load_checkpoint("tides") == states[-1]
    assert checkpoints.save_checkpoint_versioned("tides", n=3)[1] == 3


@pytest.mark.parametrize("version", [0, -1, 99])
def test_a_version_that_there_is_not_is_none(checkpoints: CheckpointManager, version: int) -> None:
    fill(checkpoints, 2)
    assert checkpoints.load_checkpoint_version("tides", version) is None
    assert checkpoints.validate_checkpoint("tides", version) is False
    with pytest.raises(SessionNotFound):
        checkpoints.fork_checkpoint("tides", version, "ebb")
    assert not checkpoints.checkpoint_exists("ebb")


@pytest.mark.parametrize("version", [None, 1.0, True, math.nan])
def test_only_a_number_names_a_valid_version(checkpoints: CheckpointManager, version: Any) -> None:
    fill(checkpoints, 2)
    try:
        is_valid = checkpoints.validate_checkpoint("tides", version)
    except UsageError:
        return
    assert is_valid is False


def test_a_durability_that_there_is_not_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        CheckpointManager(tmp_path, durability="bogus")  # type: ignore[arg-type]


@pytest.mark.parametrize("refused", [{"expected_version": 7, "n": 1}, {"n": math.nan}])
def test_a_first_save_that_is_refused_leaves_nothing_behind(
    tmp_path: Path, refused: dict[str, Any]
) -> None:
    checkpoints = CheckpointManager(tmp_path / "state")
    with checkpoints, pytest.raises((UsageError, CheckpointConflict)):
        checkpoints.save_checkpoint("tides", **refused)
    assert [path for path in (tmp_path / "state").rglob("tides*") if path.is_file()] == []


@pytest.mark.parametrize("form", ["xml", "", None, "JSON"])
def test_an_unknown_format_of_metrics_is_a_clear_error(
    checkpoints: CheckpointManager, form: Any
) -> None:
    with pytest.raises(UsageError) as caught:
        checkpoints.export_metrics(form)
    assert "json" in caught.value.hint


@pytest.mark.parametrize("name", ["nix", "."])
def test_a_backup_that_is_not_there_is_a_clear_error(
    checkpoints: CheckpointManager, tmp_path: Path, name: str
) -> None:
    with pytest.raises(StorageError):
        checkpoints.restore_checkpoint(tmp_path / name)
    with pytest.raises(SessionNotFound):
        checkpoints.backup_checkpoint("nobody", tmp_path)
