"""The read tool: the text of a file, or the entries of a folder, exactly as they are.

It owns what is shown and what is left out; where a path may lead is the workspace's business.
"""

from __future__ import annotations

import itertools
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from sdk_workflow.exceptions import ToolFailed
from sdk_workflow.tools._paths import show_name
from sdk_workflow.tools.registry import Tool
from sdk_workflow.types import ToolSpec

if TYPE_CHECKING:
    from sdk_workflow.tools.workspace import Workspace

__all__ = ["READ_SPEC", "read_tool"]

DEFAULT_LIMIT = 2000
_MAX_LIMIT = 10_000
_SNIFF_BYTES = 8192
_MAX_TEXT_BYTES = 90_000  # below the dispatcher's own cap, so that a result is never cut twice
_MAX_SCAN_BYTES = 16 * 1024 * 1024
_MAX_ENTRIES = 100_000

READ_SPEC = ToolSpec(
    name="read",
    description=(
        "Read a text file, or list a folder. Returns the text itself, from line `offset` on, at "
        "most `limit` lines; for a folder its entries, one per line. A note in square brackets "
        "at the end says what was left out."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "path": {
                "type": "string",
                "minLength": 1,
                "description": 'Path relative to the working directory; "." for that itself.',
            },
            "offset": {
                "type": "integer",
                "minimum": 1,
                "default": 1,
                "description": "The first line or entry to return, counted from 1.",
            },
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": _MAX_LIMIT,
                "default": DEFAULT_LIMIT,
                "description": "How many lines or entries to return at most.",
            },
        },
        "required": ["path"],
        "additionalProperties": False,
    },
)


def read_tool(workspace: Workspace) -> Tool:
    """Return the tool that reads files and lists folders beneath a workspace."""

    def run(path: str, offset: int = 1, limit: int = DEFAULT_LIMIT) -> str:
        with workspace.opened(path) as (descriptor, status):
            if stat.S_ISDIR(status.st_mode):
                return _list_folder(descriptor, path, int(offset), int(limit))
            with open(descriptor, "rb", closefd=False) as file:
                _refuse_binary(file, path, status.st_size)
                return _show(_select_lines(file, int(offset), int(limit)), path)

    return Tool(spec=READ_SPEC, run=run, effect="pure")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selection:
    """The bytes of the asked lines, and why there are no more of them."""

    data: bytes
    last_line: int
    ending: str  # "end" of the file, "limit" of lines, "size" of the text, or "scan" limit
    is_line_cut: bool = False


def _refuse_binary(file: BinaryIO, path: str, size: int) -> None:
    start = file.read(_SNIFF_BYTES)
    file.seek(0)
    if b"\0" in start:
        raise _binary(path, size)


def _binary(path: str, size: int) -> ToolFailed:
    return ToolFailed(
        f"{path!r} is a binary file of {size:,} bytes (it holds NUL bytes), not text.",
        code="binary_file",
        hint="Read a text file, or examine this one with a command that knows its format.",
    )


def _select_lines(file: BinaryIO, offset: int, limit: int) -> _Selection:
    taken = bytearray()
    line = 1
    is_line_open = False  # a piece of this line was read, its end was not
    while file.tell() <= _MAX_SCAN_BYTES:
        if line >= offset + limit:
            ending = "limit" if file.read(1) else "end"
            return _Selection(data=bytes(taken), last_line=line - 1, ending=ending)
        piece = file.readline(_MAX_TEXT_BYTES)
        if not piece:
            last = line if is_line_open else line - 1
            return _Selection(data=bytes(taken), last_line=last, ending="end")
        if line >= offset:
            room = _MAX_TEXT_BYTES - len(taken)
            if len(piece) > room:
                return _cut(taken, piece[:room], line)
            taken += piece
        is_line_open = not piece.endswith(b"\n")
        line += not is_line_open
    return _Selection(data=bytes(taken), last_line=line - 1, ending="scan")


def _cut(taken: bytearray, piece: bytes, line: int) -> _Selection:
    """End the text before a line that has no room, or inside of it where it is the first one."""
    if taken.endswith(b"\n"):
        return _Selection(data=bytes(taken), last_line=line - 1, ending="size")
    return _Selection(data=bytes(taken + piece), last_line=line, ending="size", is_line_cut=True)


def _show(selection: _Selection, path: str) -> str:
    if b"\0" in selection.data:
        raise _binary(path, len(selection.data))
    text = selection.data.decode("utf-8", "replace")
    notes = [_omission(selection)]
    if "\ufffd" in text and not _is_utf8(selection.data):
        notes.insert(0, "[Bytes that are not valid UTF-8 are shown as \ufffd.]")
    note = "\n".join(filter(None, notes))
    separator = "\n" if note and text and not text.endswith("\n") else ""
    return text + separator + note


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        # A character cut at the end of the text is the cut's doing, not the file's.
        return error.reason == "unexpected end of data"
    return True


def _omission(selection: _Selection) -> str:
    last = selection.last_line
    if selection.is_line_cut:
        return (
            f"[Line {last} is too long and was cut after {_MAX_TEXT_BYTES:,} bytes; "
            f"continue with offset={last + 1}.]"
        )
    if selection.ending in {"limit", "size"}:
        return f"[There is more; continue with offset={last + 1}.]"
    if selection.ending == "scan":
        return (
            f"[Only the first {_MAX_SCAN_BYTES:,} bytes were searched, up to line {last}; "
            "use a command such as sed -n for what lies behind.]"
        )
    if selection.data:
        return ""
    return (
        f"[The file has {last} lines; there is none at this offset.]" if last else "[Empty file.]"
    )


def _list_folder(descriptor: int, path: str, offset: int, limit: int) -> str:
    with os.scandir(descriptor) as entries:
        found = list(itertools.islice(entries, _MAX_ENTRIES + 1))
        is_partial = len(found) > _MAX_ENTRIES
        found = sorted(found[:_MAX_ENTRIES], key=lambda entry: entry.name)
        chosen = found[offset - 1 : offset - 1 + limit]
        lines = [_describe(entry) for entry in chosen]
    count = f"more than {_MAX_ENTRIES:,}" if is_partial else f"{len(found):,}"
    header = f"{show_name(path)}: folder, {count} {'entry' if count == '1' else 'entries'}"
    if offset - 1 + len(chosen) < len(found) and chosen:
        lines.append(f"[There is more; continue with offset={offset + len(chosen)}.]")
    return "\n".join([header, *lines])


def _describe(entry: os.DirEntry[str]) -> str:
    name = show_name(entry.name)
    if entry.is_symlink():
        return f"{name} (link)"
    if entry.is_dir(follow_symlinks=False):
        return f"{name}/"
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return f"{name} (gone)"
    if not stat.S_ISREG(status.st_mode):
        return f"{name} (special)"
    return f"{name} ({status.st_size:,} bytes)"
