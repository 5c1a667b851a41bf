"""The record of a session: a small JSON file beside its session file, whole or not there at all.

It is the truth that the catalogue is made of. It stands by itself because a run keeps its session
file locked until its end, and tags and titles should not have to wait that long.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.atomic_file import write_atomically
from sdk_workflow.exceptions import StorageError
from sdk_workflow.storage.errors import Damage
from sdk_workflow.storage.session_info import (
    SESSION_STATUSES,
    CutOff,
    SessionInfo,
    Spent,
)
from sdk_workflow.storage.session_paths import make_private_folder, session_path, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "RECORD_SCHEMA",
    "pack_info",
    "read_record",
    "record_path",
    "unpack_info",
    "write_record",
]

RECORD_SCHEMA = 1
_CHECK_DIGITS = 16
_MOST_BYTES = 1_000_000  # a real one has under 20 KB


def record_path(home: Path, session_id: str) -> Path:
    """Return where a session's record is, whether or not it exists.

    Raises:
        UsageError: If the id is not allowed.
    """
    return session_path(home, session_id).with_suffix(".json")


def read_record(path: Path) -> SessionInfo | None:
    """Return what a record says; None where there is none.

    Raises:
        Damage: If it is not what was written.
        StorageError: If a later release has written it, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"{str(path)!r} could not be read: {error.strerror or error}.",
            code="record_not_read",
            hint="Check the rights of the file.",
        ) from error
    info = unpack_info(data)
    if info.session_id != path.stem:
        raise Damage(f"it is the record of session {info.session_id!r}")
    return info


def write_record(path: Path, info: SessionInfo) -> None:
    """Put a record in its place; it is on the disk when this returns.

    Raises:
        StorageError: If it cannot be written; the one before is untouched.
    """
    make_private_folder(path.parent)
    write_atomically(path, pack_info(info).decode())
    sync_folder(path.parent)


def pack_info(info: SessionInfo) -> bytes:
    """Return a session's facts as one line of JSON that carries its own check."""
    body = {"schema": RECORD_SCHEMA, **dataclasses.asdict(info)}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return f'{{"check":"{_check(text)}","record":{text}}}\n'.encode()


def unpack_info(data: bytes) -> SessionInfo:
    """Read what `pack_info` wrote.

    Raises:
        Damage: If it is anything else.
        StorageError: If a later release has written it.
    """
    body = _body(data)
    schema = body.pop("schema", None)
    if type(schema) is int and schema > RECORD_SCHEMA:
        raise StorageError(
            f"A session's record has schema {schema}; this release reads up to {RECORD_SCHEMA}.",
            code="schema_too_new",
            hint="Upgrade sdk-workflow to the release that wrote it.",
        )
    try:
        cut_off = body["cut_off"]
        info = SessionInfo(
            **{
                **body,
                "tags": tuple(body["tags"]),
                "spent": Spent(**body["spent"]),
                "cut_off": cut_off and CutOff(key=cut_off["key"], spent=Spent(**cut_off["spent"])),
            }
        )
    except (KeyError, TypeError) as error:
        raise Damage("its fields are not those of a session") from error
    if schema != RECORD_SCHEMA or info.status not in SESSION_STATUSES:
        raise Damage("its fields are not those of a session")
    return info


def _body(data: bytes) -> dict[str, Any]:
    """Return the JSON object inside the check, which vouches for every byte of it."""
    prefix, middle = b'{"check":"', b'","record":'
    check = data[len(prefix) : len(prefix) + _CHECK_DIGITS]
    start = len(prefix) + _CHECK_DIGITS + len(middle)
    text = data[start:-2]
    if data != prefix + check + middle + text + b"}\n" or _check(text) != check.decode("latin-1"):
        raise Damage("it does not match its check")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damage("it is not JSON") from error
    if not isinstance(body, dict):
        raise Damage("it is no object")
    return body


def _check(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()[:_CHECK_DIGITS]
