from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.exceptions import ConfigError, StorageError, UsageError
from sdk_workflow.storage.encryption import AesGcm, Plain, sealer_for
from sdk_workflow.storage.errors import CheckpointCorrupt, Damage
from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.types import JournalRecord

if TYPE_CHECKING:
    from pathlib import Path

KEY, OTHER = b"k" * 32, b"o" * 32
SECRET = "the-secret-of-the-user"


def filled(path: Path, key: bytes | None = KEY) -> None:
    with SessionFile.open(path, session_id="s", create=True, key=key) as file:
        record = JournalRecord(run_id="r", step=0, kind="tool_result", body={"x": SECRET})
        file.append_state({"x": SECRET}, records=[record], meta={"title": SECRET})
        file.append_state({"x": SECRET, "y": SECRET})


def test_an_encrypted_session_reads_like_any_other_with_its_key(path: Path) -> None:
    filled(path)
    with SessionFile.open(path, session_id="s", key=KEY) as file:
        assert file.load(1) == {"x": SECRET}
        assert file.load() == {"x": SECRET, "y": SECRET}
        assert file.versions()[0].meta == {"title": SECRET}
        assert file.records()[0].body == {"x": SECRET}
        assert file.meta()["encrypted"] is True
        file.verify()


def test_nothing_that_was_saved_is_in_the_file(path: Path) -> None:
    filled(path)
    assert SECRET.encode() not in path.read_bytes()
    assert KEY not in path.read_bytes()
    filled(path.with_name("plain.sqlite"), None)
    assert SECRET.encode() in path.with_name("plain.sqlite").read_bytes()


@pytest.mark.parametrize(
    ("stored", "given", "code"),
    [(KEY, OTHER, "wrong_key"), (KEY, None, "key_missing"), (None, KEY, "not_encrypted")],
)
def test_a_key_that_does_not_fit_is_said_before_anything_is_read(
    path: Path, stored: bytes | None, given: bytes | None, code: str
) -> None:
    filled(path, stored)
    with pytest.raises(StorageError) as caught:
        SessionFile.open(path, session_id="s", key=given)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize("key", [b"short", "k" * 32, bytearray(32), 7])
def test_a_key_is_32_bytes(key: Any) -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        sealer_for(key, "s")


def test_without_the_library_the_error_names_the_extra(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigError) as caught:
        SessionFile.open(path, session_id="s", create=True, key=KEY)
    assert "sdk-workflow[crypto]" in caught.value.hint


def test_sealed_bytes_open_only_where_they_were_sealed() -> None:
    sealer = AesGcm(KEY, "s")
    sealed = sealer.seal(b"data", "frame", 1, 0)
    assert sealer.unseal(sealed, "frame", 1, 0) == b"data"
    assert sealer.seal(b"data", "frame", 1, 0) != sealed
    for other, place in (
        (sealer, ("frame", 2, 0)),
        (sealer, ("frame", 1, 1)),
        (sealer, ("meta", 1, 0)),
        (AesGcm(KEY, "t"), ("frame", 1, 0)),
        (AesGcm(OTHER, "s"), ("frame", 1, 0)),
    ):
        with pytest.raises(Damage):
            other.unseal(sealed, *place)
    for damaged in (b"", sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(Damage):
            sealer.unseal(damaged, "frame", 1, 0)


def test_the_stored_hash_of_an_encrypted_state_confirms_no_guess() -> None:
    assert Plain().tag(b"x" * 32) == b"x" * 32
    assert AesGcm(KEY, "s").tag(b"x" * 32) != b"x" * 32


def test_encrypted_bytes_that_were_changed_are_damage(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE frames SET payload=zeroblob(length(payload)) WHERE version=2")
    connection.close()
    with (
        SessionFile.open(path, session_id="s", key=KEY) as file,
        pytest.raises(CheckpointCorrupt, match="version 2 is damaged: its encrypted bytes"),
    ):
        file.load()
