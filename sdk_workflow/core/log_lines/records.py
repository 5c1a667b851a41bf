"""Between our entries and the `LogRecord`s of the standard library, both ways."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from sdk_workflow._internal.redaction import Redactor
from sdk_workflow.core.log_lines.encoder import encoder, one_line
from sdk_workflow.core.log_lines.entries import correlation_id, span_ids
from sdk_workflow.core.log_lines.stamps import Stamps
from sdk_workflow.core.log_lines.values import ValueCleaner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from sdk_workflow.core.log_lines.file_sink import FileSink

__all__ = ["IDS", "JsonFormatter", "JsonHandler", "make_record"]

IDS = ("trace_id", "span_id", "session_id", "correlation_id")
_SINK = "_sdk_workflow_sink"
_STANDARD = frozenset(
    (*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", _SINK)
)  # what is none of these came in as `extra`
_OWN_MODULES = "sdk_workflow.core.log"


class JsonFormatter(logging.Formatter):
    """Formats any record as one line of JSON, for handlers of one's own and `dictConfig`.

    It takes the `extra` of a record as its context, and never raises: what JSON cannot hold becomes
    text, and arguments that do not fit their message stand beside it.

    Args:
        secrets: What is masked too, whatever its form.

    Example:
        >>> record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "msg": "hi %s"})
        >>> record.args, record.created, record.user = ("you",), 0.5, "ann"
        >>> print(JsonFormatter().format(record))
        {"ts":"1970-01-01T00:00:00.500000Z","level":"INFO","logger":"app","message":"hi you","context":{"user":"ann"}}
    """

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.redactor = Redactor(secrets)
        self._stamps = Stamps()

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line, without its end."""
        return self.line(record).decode().rstrip("\n")

    def line(self, record: logging.LogRecord) -> bytes:
        """Return a record as a line of bytes."""
        return one_line(encoder()(self._entry(record)))

    def _entry(self, record: logging.LogRecord) -> dict[str, Any]:
        cleaner = ValueCleaner(self.redactor)
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        entry: dict[str, Any] = {
            "ts": self._stamps.text(record.created),
            "level": cleaner.text(str(record.levelname)),
            "logger": cleaner.text(str(record.name)),
            "message": _message(record, cleaner),
            **{name: cleaner.id(value) for name, value in _ids(extra).items()},
        }
        if extra:
            entry["context"] = cleaner.mapping(extra)
        if record.exc_info and record.exc_info[1] is not None:
            entry["error"] = cleaner.error(record.exc_info[1])
        elif record.exc_text:
            entry["error"] = {"traceback": cleaner.text(record.exc_text)}
        if record.stack_info:
            entry["stack"] = cleaner.text(record.stack_info)
        return entry


class JsonHandler(logging.Handler):
    """Writes records as lines of JSON into a file; loggers of ours reach it without a record.

    Args:
        sink: The file.
        level: What it takes at least.
        secrets: What is masked too, whatever its form.
    """

    def __init__(
        self, sink: FileSink, level: int = logging.NOTSET, *, secrets: tuple[str, ...] = ()
    ) -> None:
        super().__init__(level)
        self.sink = sink
        self._json = JsonFormatter(secrets)
        self.formatter = self._json

    @property
    def redactor(self) -> Redactor:
        """Takes the secrets out."""
        return self._json.redactor

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        # The logger of one file has written its entry there already, and it belongs in no other.
        if getattr(record, _SINK, None) is not None:
            return
        try:
            line = self._json.line(record)
        except Exception:  # noqa: BLE001 - the standard library's way: said on stderr, not raised
            self.handleError(record)
            return
        self.sink.write(line, is_urgent=record.levelno >= logging.WARNING)

    @override
    def flush(self) -> None:
        """Write what waits."""
        self.sink.flush()

    @override
    def close(self) -> None:
        """Write what waits, and close the file."""
        self.sink.close()
        super().close()


def make_record(
    logger: logging.Logger,
    number: int,
    entry: Mapping[str, Any],
    *,
    error: BaseException | None,
    sink: FileSink | None,
) -> logging.LogRecord:
    """Return an entry as a record, with its context and ids as attributes.

    A name that a record has itself gets an underscore behind it.

    Args:
        logger: Whose record it is.
        number: The level.
        entry: What is logged, cleaned.
        error: The exception that is logged along.
        sink: The file that the entry has been written to already.
    """
    frame = _caller()
    code = frame.f_code
    record = logger.makeRecord(
        logger.name, number, code.co_filename, frame.f_lineno, entry["message"], (),
        None if error is None else (type(error), error, error.__traceback__), code.co_name,
    )  # fmt: skip
    attributes = {name: entry[name] for name in IDS if name in entry}
    for name, value in {**entry.get("context", {}), **attributes}.items():
        setattr(record, f"{name}_" if name in _STANDARD else name, value)
    if sink is not None:
        setattr(record, _SINK, sink)
    return record


def _caller() -> FrameType:
    """Return the innermost frame that is not the log's own."""
    frame = sys._getframe(1)  # noqa: SLF001 - as the standard library does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OWN_MODULES):
        frame = frame.f_back
    return frame


def _message(record: logging.LogRecord, cleaner: ValueCleaner) -> str:
    try:
        return cleaner.text(record.getMessage())
    except Exception:  # noqa: BLE001 - a message that does not fit its arguments is still one
        return f"{cleaner.value(record.msg)} {cleaner.value(record.args)}"


def _ids(extra: dict[str, Any]) -> dict[str, Any]:
    """Return the ids of a record, taken out of its extra, or those of where it is formatted."""
    found: dict[str, Any] = {**span_ids(), "correlation_id": correlation_id()}
    found.update({name: extra.pop(name) for name in IDS if name in extra})
    return {name: found[name] for name in IDS if found.get(name) is not None}
