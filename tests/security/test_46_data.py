"""Bad input 46: data that was tampered with, names of sessions that are none, arguments of tools."""

from __future__ import annotations

import contextlib
import gzip
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.core.caching.snapshot_file import SnapshotFile
from sdk_workflow.exceptions import InvalidToolInput, SdkWorkflowError, StorageError
from sdk_workflow.managers.checkpoint_manager import CheckpointManager
from sdk_workflow.storage import strict_json
from sdk_workflow.storage.errors import Damage
from tests.cli.program import KEY, Program
from tests.tools.dispatching import make_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.security.support import Agent

CALLED: list[str] = []


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return CALLED.append, ("unpickled",)


@pytest.fixture(autouse=True)
def nothing_was_called() -> Iterator[None]:
    CALLED.clear()
    yield
    assert CALLED == []


DATA = {
    "pickle": pickle.dumps(Bomb()),
    "constructor": b'{"lc": 2, "type": "constructor", "id": ["os", "system"], "kwargs": {"c": "id"}}',
    "yaml": b"!!python/object/apply:os.system ['id']",
    "duplicate keys": b'{"a": 1, "a": 2}',
    "not a number": b'{"a": NaN}',
    "depth": b"[" * 100_000 + b"]" * 100_000,
    "gzip bomb": gzip.compress(bytes(50_000_000)),
    "empty": b"",
    "wrong version": b'{"schema": "sdk_workflow.session/999"}',
    "sqlite header": b"SQLite format 3\0" + b"\xff" * 5000,
}


@pytest.mark.parametrize("kind", DATA)
def test_46_a_checkpoint_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    backup = tmp_path / "backup"
    backup.write_bytes(DATA[kind])
    with CheckpointManager(tmp_path / "state") as manager, pytest.raises(SdkWorkflowError):
        manager.restore_checkpoint(backup)


@pytest.mark.parametrize("kind", DATA)
def test_46_a_session_file_that_was_replaced_is_refused(tmp_path: Path, kind: str) -> None:
    with CheckpointManager(tmp_path) as manager:
        file = manager.save_checkpoint("mine", step=1)
    file.write_bytes(DATA[kind])
    for path in file.parent.glob(f"{file.name}-*"):
        path.unlink()
    with CheckpointManager(tmp_path) as manager, contextlib.suppress(StorageError):
        assert manager.load_checkpoint("mine") is None


@pytest.mark.parametrize("damage", ["truncated", "bit"])
def test_46_a_session_file_that_was_damaged_is_never_read_as_something_else(
    tmp_path: Path, damage: str
) -> None:
    state: dict[str, Any] = {"step": 1, "text": "x" * 5000}
    with CheckpointManager(tmp_path) as manager:
        manager.save_checkpoint("mine", **state)
        backup = manager.backup_checkpoint("mine", tmp_path)
    data = bytearray(backup.read_bytes())
    if damage == "truncated":
        del data[len(data) // 2 :]
    else:
        data[data.index(b"x" * 40) + 20 if b"x" * 40 in data else len(data) // 2] ^= 1
    backup.write_bytes(bytes(data))
    with CheckpointManager(tmp_path / "other") as manager, contextlib.suppress(StorageError):
        manager.restore_checkpoint(backup)
        assert manager.load_checkpoint("mine") == state


@pytest.mark.parametrize("kind", DATA)
def test_46_a_cache_that_is_none_is_refused_and_moved_aside(tmp_path: Path, kind: str) -> None:
    tmp_path.chmod(0o700)
    file = tmp_path / "responses.cache"
    file.write_bytes(DATA[kind])
    file.chmod(0o600)
    with pytest.raises(StorageError):
        SnapshotFile(tmp_path).load(b"the secret")
    assert not file.exists()
    assert file.with_name("responses.cache.refused").read_bytes() == DATA[kind]


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '{"a":NaN}', "[" * 100_000, "[1e999]", "{"])
def test_46_json_that_would_be_rewritten_in_silence_is_refused(text: str) -> None:
    with pytest.raises(Damage):
        strict_json.load(text.encode())


NAMES = [
    "../../x",
    "",
    ".",
    "..",
    "CON",
    "nul.txt",
    "x" * 4096,
    "a/b",
    "a%2fb",
    "\u0430dmin",
    "a\0b",
]


@pytest.mark.parametrize("name", NAMES)
def test_46_a_session_id_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    state = tmp_path / "state"
    with CheckpointManager(state) as manager:
        with pytest.raises(SdkWorkflowError):
            manager.save_checkpoint(name, a=1)
        with pytest.raises(SdkWorkflowError):
            manager.load_checkpoint(name)
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], ["state"])


@pytest.mark.parametrize("name", ["../../x", "CON", "a/b", "a%2fb", "\u0430dmin"])
def test_46_the_command_line_refuses_a_session_id_that_is_none(program: Program, name: str) -> None:
    outcome = program.run("run", "--session", name, "Hi", env={"MY_TOKEN": KEY}, timeout_seconds=20)
    assert outcome.code == 2
    assert "Error: " in outcome.err
    assert "Traceback" not in outcome.err
    assert KEY not in outcome.out + outcome.err


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program.in_folder(tmp_path)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("read", {"path": "x", "extra": 1}),
        ("read", {"path": ["x"]}),
        ("read", {"path": "x", "limit": 10**400}),
        ("read", {"path": "x", "offset": -1}),
        ("read", {"path": "x", "__class__": "y"}),
        ("read", {"__class__": "y"}),
        ("bash", {"command": "id", "timeout_seconds": 1e308}),
        ("bash", {"command": {"__proto__": "id"}}),
        ("bash", {"command": "id\0"}),
        ("network", {"url": 1}),
        ("write", {}),
        ("exec", {"command": "id"}),
        ("__import__", {"name": "os"}),
    ],
)
async def test_46_arguments_of_the_wrong_shape(
    agent: Agent, tool: str, arguments: dict[str, Any]
) -> None:
    await agent.refused(tool, **arguments)


@pytest.mark.anyio
async def test_46_a_schema_with_a_catastrophic_pattern(agent: Agent) -> None:
    agent.tools = (make_tool(),)
    result = await agent.call("echo", {"text": "x", "word": "a" * 50_000 + "!"})
    assert result.is_error
    assert result.error_code == InvalidToolInput.default_code
