"""Whatever is done to sessions, or happens to them, every acknowledged version loads as it was saved."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import UsageError
from sdk_workflow.managers.checkpoint_manager import (
    CheckpointConflict,
    CheckpointCorrupt,
    CheckpointManager,
)
from sdk_workflow.storage import migration, session_tables
from sdk_workflow.storage.session_paths import session_files, session_path

IDS = st.sampled_from(["a", "b", "c-1"])
VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
STATE = st.dictionaries(st.sampled_from(["turns", "model", "é"]), VALUE)


class CheckpointMachine(RuleBasedStateMachine):
    """Does to a manager, and to a dict of dicts, whatever comes to mind."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.clock = VirtualClock()
        self.model: dict[str, dict[int, dict[str, Any]]] = {}
        self.latest: dict[str, int] = {}
        self.backups: list[tuple[str, Path, int, dict[int, dict[str, Any]]]] = []
        self.patch = pytest.MonkeyPatch()
        self.manager = CheckpointManager(self.home)

    @initialize(
        key=st.none() | st.just(b"k" * 32),
        limit=st.integers(1, 3),
        durability=st.sampled_from(["off", "full"]),
    )
    def begin(self, key: bytes | None, limit: int, durability: str) -> None:
        self.options: dict[str, Any] = {
            "encryption_key": key,
            "max_open_files": limit,
            "durability": durability,
            "clock": self.clock,
        }
        self.manager = CheckpointManager(self.home, **self.options)

    def teardown(self) -> None:
        self.manager.close()
        self.patch.undo()
        shutil.rmtree(self.home)

    def note(self, name: str, state: dict[str, Any]) -> int:
        self.latest[name] = self.latest.get(name, 0) + 1
        self.model.setdefault(name, {})[self.latest[name]] = state
        return self.latest[name]

    @rule(name=IDS, state=STATE)
    def save(self, name: str, state: dict[str, Any]) -> None:
        _, version = self.manager.save_checkpoint_versioned(name, **state)
        assert version == self.note(name, state)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), item=VALUE, times=st.integers(1, 4))
    def append_a_turn(self, data: st.DataObject, item: Any, times: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        for _ in range(times):
            state = self.manager.load_checkpoint(name) or {}
            turns = state.get("turns")
            state["turns"] = [*(turns if isinstance(turns, list) else []), item]
            self.manager.save_checkpoint(name, expected_version=self.latest[name], **state)
            self.note(name, state)

    @rule(name=IDS, state=STATE, off=st.sampled_from([-1, 1, 5]))
    def save_on_top_of_the_wrong_version(self, name: str, state: dict[str, Any], off: int) -> None:
        wrong = self.latest.get(name, 0) + off
        with pytest.raises(CheckpointConflict):
            self.manager.save_checkpoint(name, expected_version=wrong, **state)

    @rule(name=IDS, bad=st.sampled_from([float("nan"), b"x", {1}, {1: 2}, "\ud800", 2**70]))
    def save_what_json_cannot_hold(self, name: str, bad: Any) -> None:
        there = session_path(self.home, name).exists()
        with pytest.raises(UsageError):
            self.manager.save_checkpoint(name, turns=[bad])
        assert session_path(self.home, name).exists() == there

    @precondition(lambda self: self.model)
    @rule(data=st.data(), new=IDS)
    def fork(self, data: st.DataObject, new: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        version = data.draw(st.sampled_from(sorted(self.model[name])))
        if self.latest.get(new):
            with pytest.raises(CheckpointConflict):
                self.manager.fork_checkpoint(name, version, new)
        else:
            self.manager.fork_checkpoint(name, version, new)
            self.note(new, self.model[name][version])

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def back_up_and_restore_elsewhere(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        made = self.manager.backup_checkpoint(name, self.home / "backups")
        elsewhere = self.home / f"elsewhere-{self.latest[name]}"
        with CheckpointManager(elsewhere, **self.options) as other:
            other.restore_checkpoint(made)
            for version, state in self.model[name].items():
                assert other.load_checkpoint_version(name, version) == state
        shutil.rmtree(elsewhere)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def back_up(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        made = self.manager.backup_checkpoint(name, self.home / "backups")
        there = [(path, self.model[name]) for _, path, _, _ in self.backups if path == made]
        assert all(self.model[name] == versions for _, versions in there)
        self.backups.append((name, made, self.latest[name], dict(self.model[name])))

    @precondition(lambda self: self.backups)
    @rule(data=st.data(), loss=st.sampled_from(["nothing", "file", "cut", "all"]))
    def restore(self, data: st.DataObject, loss: str) -> None:
        """With nothing lost a backup adds nothing; after a loss it brings back what it holds."""
        name, made, last, versions = data.draw(st.sampled_from(self.backups))
        path = session_path(self.home, name)
        self.manager.close()
        if loss == "nothing":
            if self.latest[name] > last:
                with pytest.raises(CheckpointConflict):
                    self.manager.restore_checkpoint(made)
            else:
                assert self.manager.restore_checkpoint(made) == name
            return
        if loss == "all":
            shutil.rmtree(path.parent)
        elif loss == "file":
            path.unlink()
        else:
            os.truncate(path, path.stat().st_size // 2)
        if loss in {"file", "cut"} and self.options["durability"] == "full":
            with pytest.raises(CheckpointCorrupt):
                self.manager.load_checkpoint(name)
            self.manager.close()
        assert self.manager.restore_checkpoint(made) == name
        self.model[name], self.latest[name] = dict(versions), last
        # What was backed up later has another history now, wherever this one goes.
        self.backups = [each for each in self.backups if each[0] != name or each[2] <= last]

    @rule(seconds=st.sampled_from([-(10**6), 0.5, 86_400.0]))
    def move_the_clock(self, seconds: float) -> None:
        self.clock._now += seconds

    @rule()
    def clean_up(self) -> None:
        self.manager.cleanup_old_checkpoints(0)
        for name, versions in self.model.items():
            left = {info.version for info in self.manager.list_checkpoint_versions(name)}
            assert self.latest[name] in left
            assert left <= set(versions)
            self.model[name] = {version: versions[version] for version in left}

    @rule(keep=st.integers(1, 3))
    def keep_few(self, keep: int) -> None:
        for name, versions in self.model.items():
            with self.manager._using(name) as file:
                deleted = file.prune(keep_versions=keep)
            first = min(versions) + deleted
            left = {version: state for version, state in versions.items() if version >= first}
            assert deleted == 0 or len(left) >= keep
            self.model[name] = left

    @rule()
    def migrate(self) -> None:
        """A release with one schema more comes out, and all sessions are brought to it."""
        newest = session_tables.SCHEMA_VERSION + 1
        self.manager.close()
        self.patch.setattr(session_tables, "SCHEMA_VERSION", newest)
        steps = {
            schema: lambda connection, name=f"notes_{schema}": connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name}(text)"
            )
            for schema in range(1, newest)
        }
        self.patch.setattr(migration, "MIGRATIONS", steps)
        for name, _ in session_files(self.home):
            assert self.manager.migrate(name) == newest
        self.backups.clear()  # they would have to be migrated too

    @rule()
    def start_anew(self) -> None:
        self.manager.close()
        self.manager = CheckpointManager(self.home, **self.options)

    @rule()
    def crash(self) -> None:
        """The process dies without closing anything; another one goes on."""
        survivors = self.home.with_name(f"{self.home.name}-crashed")
        shutil.copytree(self.home, survivors)  # as a killed process leaves it: the log as it is
        backups = [(n, survivors / p.relative_to(self.home), v, s) for n, p, v, s in self.backups]
        self.manager = CheckpointManager(survivors, **self.options)
        shutil.rmtree(self.home)
        self.home, self.backups = survivors, backups

    @rule()
    def drop(self) -> None:
        """The manager is forgotten without being closed."""
        self.manager = CheckpointManager(self.home, **self.options)
        gc.collect()

    @invariant()
    def every_version_loads_as_it_was_saved(self) -> None:
        for name, versions in self.model.items():
            assert self.manager.load_checkpoint(name) == versions[self.latest[name]]
            for version, state in versions.items():
                assert repr(self.manager.load_checkpoint_version(name, version)) == repr(state)
            listed = [info.version for info in self.manager.list_checkpoint_versions(name)]
            assert listed == sorted(versions)


CheckpointMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestCheckpoints = CheckpointMachine.TestCase
