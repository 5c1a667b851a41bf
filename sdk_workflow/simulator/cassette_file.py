"""The cassette as data: what one recorded run holds, and its form on disk.

JSON lines: a header that names the version, then one line per call to the model and per tool call,
in the order in which they ended. Secrets are taken out before anything is kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.redaction import redact
from sdk_workflow.exceptions import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["SCHEMA", "Cassette", "RecordedCall", "RecordedTool"]

SCHEMA = "sdk_workflow.cassette/1"
_HINT = "Record it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One call to the model: its request, and the message or the error that it came to.

    `operation` is `"message"` or `"count_tokens"`; `at_seconds` counts from the first recorded call.
    """

    request: Mapping[str, Any]
    operation: str = "message"
    message: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    was_streamed: bool = False
    at_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the line of the file."""
        return {
            "kind": "call",
            "operation": self.operation,
            "at_seconds": round(self.at_seconds, 3),
            "was_streamed": self.was_streamed,
            "request": self.request,
            "message": self.message,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTool:
    """One tool call and its result."""

    id: str
    name: str
    input: Mapping[str, Any]
    content: str
    is_error: bool = False
    error_code: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the line of the file."""
        return {
            "kind": "tool",
            "id": self.id,
            "name": self.name,
            "input": self.input,
            "content": self.content,
            "is_error": self.is_error,
            "error_code": self.error_code,
        }


@dataclass(slots=True)
class Cassette:
    """One recorded run.

    Args:
        redacts_emails: Whether e-mail addresses are taken out beside credentials.

    Example:
        >>> cassette = Cassette()
        >>> cassette.add(RecordedTool(id="1", name="now", input={}, content="key sk-ant-api03-abc"))
        >>> cassette.tools[0].content
        'key sk-ant-[redacted]'
    """

    redacts_emails: bool = False
    entries: list[RecordedCall | RecordedTool] = field(default_factory=list)

    @property
    def calls(self) -> list[RecordedCall]:
        """The calls to the model, in order."""
        return [entry for entry in self.entries if isinstance(entry, RecordedCall)]

    @property
    def tools(self) -> list[RecordedTool]:
        """The tool calls, in order."""
        return [entry for entry in self.entries if isinstance(entry, RecordedTool)]

    def add(self, entry: RecordedCall | RecordedTool) -> None:
        """Add an entry, without its secrets."""
        self.entries.append(_read_entry(self.redacted(entry.to_json())))

    def redacted(self, value: Any) -> Any:
        """Return a JSON value as this cassette would keep it."""
        return redact(value, personal=self.redacts_emails)

    def save(self, path: Path) -> None:
        """Write the cassette to a file, whole or not at all.

        Raises:
            StorageError: It could not be written.
        """
        from sdk_workflow._internal.atomic_file import write_atomically

        header = {"schema": SCHEMA, "redacts_emails": self.redacts_emails}
        lines = [header, *(entry.to_json() for entry in self.entries)]
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        write_atomically(path, text.encode("utf-8", "replace").decode())

    @classmethod
    def load(cls, path: Path) -> Cassette:
        """Read a cassette.

        Raises:
            StorageError: The file cannot be read, is none, or comes from another version.
        """
        try:
            # Not splitlines: JSON text may hold characters that Python takes for line ends.
            lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(
                f"The cassette {str(path)!r} cannot be read: {error}.",
                code="unreadable_file",
                hint="Check its name, or record it first.",
            ) from error
        header = _decoded(path, 1, lines[0])
        if header.get("schema") != SCHEMA:
            raise StorageError(
                f"The cassette {str(path)!r} has the version {header.get('schema')!r}; "
                f"this library reads {SCHEMA!r}.",
                code="unknown_version",
                hint=_HINT,
            )
        cassette = cls(redacts_emails=bool(header.get("redacts_emails")))
        cassette.entries = list(_entries(path, lines[1:]))
        return cassette


def _entries(path: Path, lines: Iterable[str]) -> Iterable[RecordedCall | RecordedTool]:
    for number, line in enumerate(lines, start=2):
        try:
            yield _read_entry(_decoded(path, number, line))
        except (TypeError, KeyError) as error:
            raise _damaged(path, number, f"{error}") from error


def _read_entry(table: Mapping[str, Any]) -> RecordedCall | RecordedTool:
    values = {name: value for name, value in table.items() if name != "kind"}
    return RecordedCall(**values) if table["kind"] == "call" else RecordedTool(**values)


def _decoded(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, number, str(error)) from error
    if not isinstance(value, dict):
        raise _damaged(path, number, "it is no JSON object")
    return value


def _damaged(path: Path, number: int, why: str) -> StorageError:
    return StorageError(
        f"The cassette {str(path)!r} is damaged in line {number}: {why}.",
        code="malformed_file",
        hint=_HINT,
    )
