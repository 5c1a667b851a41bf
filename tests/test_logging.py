"""The structured log: one line of JSON an entry, whoever listens, whatever is logged."""

from __future__ import annotations

import contextvars
import dataclasses
import importlib
import json
import logging
import logging.config
import math
import sys
import threading
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow._internal.redaction import REDACTED
from sdk_workflow.core.log_lines.encoder import ENCODERS, encoder, one_line
from sdk_workflow.core.log_lines.entries import correlation_id, set_correlation_id
from sdk_workflow.core.logging import (
    FileSink,
    JsonFormatter,
    JsonHandler,
    StructuredLogger,
    open_logger,
)
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.exceptions import ConfigError, UsageError
from tests.planted_secrets import planted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

NAME = "tests.shop"
TOPS = ("", "tests", "sdk_workflow")
START = 1_795_248_000.25  # 2026-11-21T08:00:00.25Z


class Kept(logging.Handler):
    """A handler of somebody else, such as an error tracker's: it keeps what it gets."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Undo what a test does to the loggers of its process."""
    loggers = [logging.getLogger(name) for name in TOPS]
    before = [(item, item.level, item.handlers[:]) for item in loggers]
    yield
    for item, level, handlers in before:
        item.setLevel(level)
        item.handlers[:] = handlers
    mine = logging.getLogger(NAME)
    mine.setLevel(logging.NOTSET)
    mine.handlers, mine.filters, mine.propagate, mine.disabled = [], [], True, False
    set_correlation_id(None)


def nobody_else_listens() -> None:
    """Take away the handlers with which pytest captures what a test logs."""
    for name in TOPS:
        logging.getLogger(name).handlers.clear()


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[FileSink]:
    """A file to log to."""
    sink = FileSink(tmp_path / "app.jsonl")
    yield sink
    sink.close()


@pytest.fixture
def logger(sink: FileSink) -> StructuredLogger:
    """A logger with that file for itself, at a time that stands still."""
    return StructuredLogger(NAME, "DEBUG", sink=sink, clock=VirtualClock(START))


@pytest.fixture
def handled(sink: FileSink) -> StructuredLogger:
    """A logger of the same name that reaches the file through a handler."""
    logging.getLogger(NAME).addHandler(JsonHandler(sink))
    return StructuredLogger(NAME, "DEBUG", clock=VirtualClock(START))


def entries(sink: FileSink) -> list[dict[str, Any]]:
    """Return what is in the file."""
    sink.flush()
    if not sink.path.exists():
        return []
    return [json.loads(line) for line in sink.path.read_text(encoding="utf-8").splitlines()]


def only(sink: FileSink) -> dict[str, Any]:
    """Return the one entry of the file."""
    (entry,) = entries(sink)
    return entry


# One entry


def test_an_entry_is_one_line_with_the_documented_fields_in_order(
    logger: StructuredLogger, sink: FileSink
) -> None:
    logger.info("tool finished", tool="read", duration_ms=12.5, ok=True, note=None, count=3)
    sink.flush()
    assert sink.path.read_text(encoding="utf-8") == (
        '{"ts":"2026-11-21T08:00:00.250000Z","level":"INFO","logger":"tests.shop",'
        '"message":"tool finished","context":{"tool":"read","duration_ms":12.5,"ok":true,'
        '"note":null,"count":3}}\n'
    )


def test_an_entry_without_facts_has_no_context(logger: StructuredLogger, sink: FileSink) -> None:
    logger.info("started")
    assert list(only(sink)) == ["ts", "level", "logger", "message"]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_each_level_has_a_method_of_its_name(
    level: str, logger: StructuredLogger, sink: FileSink
) -> None:
    getattr(logger, level)("said", n=1)
    logger.log(level, "said", n=1)
    first, second = entries(sink)
    assert first == second
    assert (first["level"], first["context"]) == (level.upper(), {"n": 1})


def test_what_is_below_the_level_is_not_logged_until_the_level_changes(
    logger: StructuredLogger, sink: FileSink
) -> None:
    logger.set_level("ERROR")
    child = logger.with_context(a=1)
    for each in (logger.debug, logger.info, logger.warning, child.info):
        each("hidden")
    logger.log("info", "hidden")
    logger.error("shown")
    logger.set_level("critical")
    logger.error("hidden")
    logger.exception("hidden")  # noqa: LOG004 - the logger of this project, not the module
    child.set_level("debug")
    logger.debug("shown too")
    logger.critical("shown at last")
    assert [entry["message"] for entry in entries(sink)] == ["shown", "shown too", "shown at last"]


def test_critical_can_be_hidden_by_nobody_but_the_handlers(handled: StructuredLogger) -> None:
    nobody_else_listens()
    logging.getLogger(NAME).disabled = True
    handled.critical("hidden")
    handled.exception("hidden")
    handled.warning("hidden")
    assert not handled.is_enabled(logging.CRITICAL)


def test_loggers_of_one_name_share_the_level_of_the_standard_librarys_logger(
    handled: StructuredLogger, sink: FileSink
) -> None:
    other = StructuredLogger(NAME, "WARNING")
    handled.info("hidden")
    logging.getLogger(NAME).setLevel(logging.INFO)
    handled.info("shown")
    other.info("shown too")
    assert [entry["message"] for entry in entries(sink)] == ["shown", "shown too"]


@pytest.mark.parametrize(
    "use",
    [
        lambda name: StructuredLogger(NAME, name),
        lambda name: StructuredLogger(NAME).set_level(name),
        lambda name: StructuredLogger(NAME).log(name, "said"),
        lambda name: open_logger(Path(), level=name),
    ],
    ids=["constructor", "set_level", "log", "open_logger"],
)
def test_an_unknown_level_is_refused_with_the_one_that_was_meant(
    use: Callable[[str], object],
) -> None:
    with pytest.raises(UsageError, match="no log level 'warnin'") as caught:
        use("warnin")
    assert caught.value.code == "unknown_level"
    assert caught.value.hint == "Did you mean 'WARNING'?"
    with pytest.raises(UsageError) as caught:
        use("zzz")
    assert caught.value.hint == "The levels are DEBUG, INFO, WARNING, ERROR, CRITICAL."


def test_a_context_is_added_to_each_entry_and_the_entrys_own_facts_go_first(
    logger: StructuredLogger, sink: FileSink
) -> None:
    child = logger.with_context(tenant="a", run=1)
    grandchild = child.with_context(run=2)
    logger.info("plain")
    child.info("child")
    grandchild.info("grandchild", tenant="b")
    contexts = [entry.get("context") for entry in entries(sink)]
    assert contexts == [None, {"tenant": "a", "run": 1}, {"tenant": "b", "run": 2}]


def test_a_fact_cannot_take_the_place_of_a_field(logger: StructuredLogger, sink: FileSink) -> None:
    logger.info("said", ts="never", logger="other", context=1, error="none")
    assert only(sink)["message"] == "said"
    assert only(sink)["context"] == {
        "ts": "never",
        "logger": "other",
        "context": 1,
        "error": "none",
    }


# Ids


def test_the_ids_are_those_of_the_ambient_span(logger: StructuredLogger, sink: FileSink) -> None:
    tracer = PerformanceTracer()
    facts = {"gen_ai.conversation.id": "ses_1"}
    with tracer.span("run", **facts) as run, tracer.span("tool") as tool:
        logger.info("inside")
        logger.info("inside again")
    logger.info("outside")
    inside, again, outside = entries(sink)
    assert inside["trace_id"] == f"{run.trace_id:032x}"
    assert inside["span_id"] == again["span_id"] == f"{tool.span_id:016x}"
    assert inside["session_id"] == "ses_1"
    assert outside.keys() & {"trace_id", "span_id", "session_id"} == set()


def test_a_span_without_a_session_gives_no_session_id(
    logger: StructuredLogger, sink: FileSink
) -> None:
    with PerformanceTracer().span("run"):
        logger.info("inside")
    assert "session_id" not in only(sink)
    assert "trace_id" in only(sink)


def test_ids_that_are_given_go_before_those_of_the_span(
    logger: StructuredLogger, sink: FileSink
) -> None:
    with PerformanceTracer().span("run"):
        logger.with_context(session_id="ses_9").info("said", trace_id="t", n=1)
    entry = only(sink)
    assert (entry["session_id"], entry["trace_id"], entry["context"]) == ("ses_9", "t", {"n": 1})


def test_a_correlation_id_follows_the_task_that_set_it(
    logger: StructuredLogger, sink: FileSink
) -> None:
    def request(name: str) -> None:
        logger.set_correlation_id(name)
        logger.info("said")

    for name in ("req-1", "req-2"):
        contextvars.copy_context().run(request, name)
    logger.info("outside")
    assert [entry.get("correlation_id") for entry in entries(sink)] == ["req-1", "req-2", None]
    assert correlation_id() is None


def test_an_id_is_cleaned_however_it_comes(logger: StructuredLogger, sink: FileSink) -> None:
    key = "sk-ant-api03-aB3dE6aB3dE6"
    given: Any = Broken()
    facts: dict[str, Any] = {"gen_ai.conversation.id": key}
    with PerformanceTracer().span("run", **facts):
        logger.set_correlation_id(key)
        logger.info("said")
        logger.info("said", session_id=given, correlation_id="x" * 9000, span_id=key)
        logger.set_correlation_id(given)
        logger.info("said")
    first, second, third = entries(sink)
    assert first["session_id"] == first["correlation_id"] == f"sk-ant-{REDACTED}"
    assert second["span_id"] == f"sk-ant-{REDACTED}"
    assert (second["session_id"], len(second["correlation_id"])) == ("<Broken>", 256)
    assert third["correlation_id"] == "<Broken>"


# Values

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=timezone.utc)


class Colour(Enum):
    RED = "red"


class Word(str):
    __slots__ = ()


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None
    hidden: str = dataclasses.field(default="no", repr=False)


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no")


class Unreadable(dict[str, Any]):
    def items(self) -> Any:
        raise OSError("gone")


class BrokenError(Exception):
    def __str__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (2**62, 2**62),
        (2**80, str(2**80)),
        (10**5000, hex(10**5000)[:100]),
        (1e300, 1e300),
        (b"bytes\xff", "bytes\\xff"),
        (bytearray(b"ab"), "ab"),
        (memoryview(b"ab"), "ab"),
        (NOW, "2026-11-21T08:00:00+00:00"),
        (date(2026, 11, 21), "2026-11-21"),
        (timedelta(seconds=90), "0:01:30"),
        (Decimal("1.10"), "1.10"),
        (Path("a") / "b", str(Path("a") / "b")),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (Word("word"), "word"),
        ("half \ud800 pair", "half \\ud800 pair"),
        ((1, [2, {"three": 3}]), [1, [2, {"three": 3}]]),
        ({1: "one", (2,): "two"}, {"1": "one", "(2,)": "two"}),
        (frozenset({1}), [1]),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Point, "<class 'Point'>"),
        (Broken(), "<Broken>"),
        ({Broken(): 1}, {"<Broken>": 1}),
        (Unreadable(), "<Unreadable: OSError while it was logged>"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("name", ENCODERS)
def test_a_value_that_json_cannot_hold_becomes_one_that_it_can(
    value: Any, shown: Any, name: str, logger: StructuredLogger, sink: FileSink
) -> None:
    logger._encode = encoder(name)
    logger.info("said", value=value)
    found = only(sink)["context"]["value"]
    if isinstance(found, str):
        found = found.replace("<class 'tests.test_logging.", "<class '")
        found = found.replace("<class 'test_logging.", "<class '")
    assert found == shown


def test_a_circle_ends_and_so_does_what_is_nested_deep(
    logger: StructuredLogger, sink: FileSink
) -> None:
    circle: dict[str, Any] = {"n": 1}
    circle["self"] = circle
    many = {"a": [[[[[[[[1]]]]]]]]}
    logger.info("said", circle=circle, many=many)
    assert len(json.dumps(only(sink))) < 500
    assert "<dict>" in json.dumps(only(sink))
    assert "<list>" in json.dumps(only(sink))


def test_what_is_large_is_cut_and_says_so(logger: StructuredLogger, sink: FileSink) -> None:
    wide = {str(number): number for number in range(500)}
    logger.info("m" * 9000, text="t" * 9000, items=list(range(500)), wide=wide, data=b"b" * 40_000)
    entry = only(sink)
    assert entry["message"] == "m" * 8192 + "...[9000 characters]"
    assert entry["context"]["text"] == "t" * 8192 + "...[9000 characters]"
    assert entry["context"]["items"] == [*range(100), "... 500 items"]
    assert list(entry["context"]["wide"])[-1] == "..."
    assert len(entry["context"]["wide"]) == 101
    assert len(entry["context"]["data"]) < 8300


def test_an_entry_has_a_thousand_values_at_most(logger: StructuredLogger, sink: FileSink) -> None:
    logger.info("said", tree=[[list(range(90)) for _ in range(90)] for _ in range(90)])
    assert len(json.dumps(only(sink))) < 20_000


def test_a_secret_at_the_cut_is_masked_whole(logger: StructuredLogger, sink: FileSink) -> None:
    key = "ghp_" + "aB3dE6" * 6
    logger.info("said", text=("x" * 8180) + " " + key)
    assert "aB3dE6" not in json.dumps(only(sink))


@pytest.mark.parametrize("message", [None, 5, ValueError("bad"), b"raw", ["a"], Word("word")])
def test_a_message_that_is_no_text_becomes_one(
    message: Any, logger: StructuredLogger, sink: FileSink
) -> None:
    logger.info(message)
    assert isinstance(only(sink)["message"], str)


TEXTS = st.text(max_size=30) | st.text(
    alphabet='\n\r\x00\x1b\x7f\x85\u2028\u2029\u202e"\\{}a', max_size=9
)


@pytest.mark.parametrize("name", ENCODERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(message=TEXTS, value=TEXTS, key=TEXTS)
def test_no_text_can_forge_a_line_or_drive_a_terminal(
    name: str, sink: FileSink, message: str, value: str, key: str
) -> None:
    logger = StructuredLogger(NAME, sink=sink)
    logger._encode = encoder(name)
    written: list[bytes] = []
    sink.write = lambda line, **_: written.append(line)  # type: ignore[method-assign]
    logger.info(message, **{f"_{key}": value})
    (line,) = written
    text = line.decode()
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert all(character.isprintable() or ord(character) >= 0xA0 for character in text[:-1])
    assert {"\u2028", "\u2029", "\u202e", "\x9b"}.isdisjoint(text)
    assert json.loads(text)["message"] == message.encode("utf-8", "backslashreplace").decode()


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=20)
    | st.text(st.characters(), max_size=20)
    | st.dates()
    | st.builds(object)
    | st.builds(Broken)
    | st.builds(BrokenError),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ENCODERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(value=VALUES)
def test_whatever_is_logged_gives_one_line_that_parses_strictly(
    name: str, sink: FileSink, value: Any
) -> None:
    logger = StructuredLogger(NAME, sink=sink)
    logger._encode = encoder(name)
    written: list[bytes] = []
    sink.write = lambda line, **_: written.append(line)  # type: ignore[method-assign]
    logger.info("said", value=value)
    logger.with_context(value=value).error(value, exc_info=value)
    for line in written:
        assert line.count(b"\n") == 1
        json.loads(line, parse_constant=pytest.fail)


def test_the_quickest_encoder_that_is_installed_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Quick:
        class Encoder:
            encode = staticmethod(lambda _: b"msgspec")

        dumps = staticmethod(lambda _: b"orjson")

    there: set[str] = {"orjson", "msgspec", "msgspec.json"}

    def import_module(name: str) -> Any:
        if name not in {*there, "json"}:
            raise ImportError(name)
        return Quick

    monkeypatch.setattr(importlib, "import_module", import_module)
    choose: Any = encoder.__wrapped__
    assert choose()({}) == b"orjson"
    there.remove("orjson")
    assert choose()({}) == b"msgspec"
    there.clear()
    assert choose()({"a": "ü"}) == '{"a":"ü"}'.encode()
    assert choose("orjson")({}) == b"{}"


def test_a_line_of_plain_text_is_left_alone() -> None:
    assert one_line(b'{"a":"b"}') == b'{"a":"b"}\n'
    assert one_line('{"a":"ü\u2028"}'.encode()) == '{"a":"ü\\u2028"}\n'.encode()
    assert one_line(b'{"a":"\x7f"}') == b'{"a":"\\u007f"}\n'


# Exceptions


def fail() -> None:
    try:
        _ = dict[str, int]()["inner"]
    except KeyError as error:
        raise ConfigError("No key is set.", code="api_key_missing") from error


def test_an_exception_is_logged_with_its_traceback_and_its_cause(
    logger: StructuredLogger, sink: FileSink
) -> None:
    try:
        fail()
    except ConfigError:
        logger.exception("run failed", run=1)
    entry = only(sink)
    assert (entry["level"], entry["context"]) == ("ERROR", {"run": 1})
    error = entry["error"]
    assert (error["type"], error["message"], error["code"]) == (
        "ConfigError", "No key is set.", "api_key_missing",
    )  # fmt: skip
    assert "KeyError: 'inner'" in error["traceback"]
    assert "in fail" in error["traceback"]


@pytest.mark.parametrize(
    ("exc_info", "is_there"),
    [
        (ValueError("bad"), True),
        ((ValueError, ValueError("bad"), None), True),
        ((None, None, None), False),
        ((1, 2), False),
        (True, False),
        (None, False),
    ],
)
def test_exc_info_means_what_it_means_in_the_standard_library(
    exc_info: Any, is_there: bool, logger: StructuredLogger, sink: FileSink  # noqa: FBT001
) -> None:
    logger.warning("said", exc_info=exc_info)
    assert ("error" in only(sink)) is is_there
    assert "context" not in only(sink)


def test_exception_where_none_is_handled_is_an_error_without_one(
    logger: StructuredLogger, sink: FileSink
) -> None:
    logger.exception("said")  # noqa: LOG004 - what happens then is the question
    assert "error" not in only(sink)


def test_an_exception_can_be_a_fact(logger: StructuredLogger, sink: FileSink) -> None:
    logger.info("said", cause=ValueError("bad"), broken=BrokenError())
    context = only(sink)["context"]
    assert (context["cause"]["type"], context["cause"]["message"]) == ("ValueError", "bad")
    assert context["broken"]["message"] == "<BrokenError>"


def test_an_exception_whose_traceback_cannot_be_told_is_still_logged(
    logger: StructuredLogger, sink: FileSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdk_workflow.core.log_lines.values.traceback", None)
    logger.error("failed", exc_info=ValueError("bad"))
    assert only(sink)["error"]["traceback"] == "ValueError: <no traceback>"


# Secrets


SECRETS = planted()


@pytest.fixture(params=["own file", "handler", "beside others"])
def anyhow(request: pytest.FixtureRequest, sink: FileSink) -> StructuredLogger:
    """A logger to the file, in each way in which there is one."""
    if request.param == "own file":
        return StructuredLogger(NAME, sink=sink)
    logging.getLogger(NAME).addHandler(JsonHandler(sink))
    if request.param == "beside others":
        logging.getLogger(NAME).addHandler(Kept())
    return StructuredLogger(NAME)


def test_no_planted_secret_gets_into_the_log(anyhow: StructuredLogger, sink: FileSink) -> None:
    nobody_else_listens()
    for secret in SECRETS:
        message = f"got {secret.text} there"
        anyhow.info(message)
        anyhow.info("said", value=secret.text, nested={"deep": [{"at": (secret.text,)}]})
        anyhow.info("said", **{secret.text: 1, "password": secret.core})
        anyhow.info("said", nested={secret.text: {"auth": [secret.core]}}, raw=secret.text.encode())
        anyhow.error("failed", exc_info=ValueError(f"refused: {secret.text}"))
        anyhow.with_context(url=secret.text).info("said", session_id=secret.text)
    sink.flush()
    text = sink.path.read_text(encoding="utf-8")
    assert text.count("\n") == 6 * len(SECRETS)
    assert [secret for secret in SECRETS if secret.core in text] == []


def test_no_planted_secret_reaches_hooks_or_handlers_of_others(sink: FileSink) -> None:
    kept, seen = Kept(), []
    logging.getLogger("tests").addHandler(kept)
    logging.getLogger("tests").setLevel(logging.INFO)
    logger = StructuredLogger(NAME, sink=sink)
    logger.add_hook(lambda entry: seen.append(str(dict(entry))))
    for secret in SECRETS:
        message = f"got {secret.text}"
        logger.info(message, value=secret.text, token=secret.core)
    shown = [f"{vars(record)}" for record in kept.records]
    assert len(shown) == len(seen) == len(SECRETS)
    for secret in SECRETS:
        assert not [text for text in (*shown, *seen) if secret.core in text], secret


def test_no_planted_secret_of_a_record_gets_into_its_line() -> None:
    formatter = JsonFormatter()
    for secret in SECRETS:
        record = logging.makeLogRecord(
            {
                "name": NAME,
                "msg": "got %s",
                "args": (secret.text,),
                "value": secret.text,
                "exc_info": (ValueError, ValueError(secret.text), None),
                "stack_info": secret.text,
            }
        )
        assert secret.core not in formatter.format(record), secret


def test_ordinary_facts_with_names_like_secrets_stay(
    logger: StructuredLogger, sink: FileSink
) -> None:
    facts = {"input_tokens": 120, "max_tokens": 4096, "author": "Ann", "token_count": 3}
    logger.info("said", session_id="ses_1", **facts)
    assert only(sink)["context"] == facts
    assert only(sink)["session_id"] == "ses_1"


def test_the_keys_of_the_settings_are_masked_whatever_they_look_like(sink: FileSink) -> None:
    logger = StructuredLogger(NAME, sink=sink, secrets=["harbour-master"])
    logger.info("asked with harbour-master", why="harbour-master said so")
    assert only(sink)["message"] == f"asked with {REDACTED}"
    assert only(sink)["context"] == {"why": f"{REDACTED} said so"}


# Who else listens


def test_a_line_is_written_without_a_record_where_only_our_handler_listens(
    handled: StructuredLogger, sink: FileSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody_else_listens()

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("A record was made.")

    monkeypatch.setattr(logging.Logger, "makeRecord", refuse)
    logging.getLogger("tests").addHandler(logging.NullHandler())
    handled.info("said", n=1)
    assert only(sink)["context"] == {"n": 1}


@pytest.mark.parametrize("place", [NAME, "tests", ""])
def test_a_handler_that_comes_later_gets_records_and_one_that_left_gets_none(
    place: str, handled: StructuredLogger, sink: FileSink
) -> None:
    nobody_else_listens()
    kept, where = Kept(), logging.getLogger(place)
    handled.info("before")
    where.addHandler(kept)
    handled.info("during", n=1)
    where.removeHandler(kept)
    handled.info("after")
    assert [record.message for record in map(_formatted, kept.records)] == ["during"]
    assert [entry["message"] for entry in entries(sink)] == ["before", "during", "after"]
    assert entries(sink)[1]["context"] == {"n": 1}


def _formatted(record: logging.LogRecord) -> logging.LogRecord:
    logging.Formatter().format(record)
    return record


def test_a_record_holds_what_the_entry_holds_and_where_it_was_logged(
    logger: StructuredLogger,
) -> None:
    kept = Kept()
    logging.getLogger("tests").addHandler(kept)
    error = ValueError("bad")
    with PerformanceTracer().span("run") as span:
        logger.set_correlation_id("req-1")
        logger.error("100 % %s", tenant="a", name="shadow", msg="m", exc_info=error)
    (record,) = kept.records
    facts: Any = record
    assert (record.name, record.levelname, record.getMessage()) == (NAME, "ERROR", "100 % %s")
    assert (facts.tenant, facts.name_, facts.msg_) == ("a", "shadow", "m")
    assert (facts.span_id, facts.correlation_id) == (f"{span.span_id:016x}", "req-1")
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert record.filename == "test_logging.py"
    assert record.funcName == "test_a_record_holds_what_the_entry_holds_and_where_it_was_logged"


def test_caplog_sees_what_is_logged(caplog: pytest.LogCaptureFixture, sink: FileSink) -> None:
    logger = StructuredLogger(NAME, sink=sink)
    with caplog.at_level(logging.INFO):
        logger.info("said", tenant="a")
    assert caplog.messages == ["said"]
    assert caplog.records[0].tenant == "a"  # type: ignore[attr-defined]
    assert only(sink)["message"] == "said"


def test_a_handler_above_the_level_gets_nothing(handled: StructuredLogger) -> None:
    kept = Kept(logging.ERROR)
    logging.getLogger("tests").addHandler(kept)
    handled.info("said")
    assert kept.records == []
    handled.error("failed")
    assert len(kept.records) == 1


def test_our_handler_keeps_its_own_level_and_filters(sink: FileSink) -> None:
    nobody_else_listens()
    handler = JsonHandler(sink, logging.WARNING)
    logging.getLogger(NAME).addHandler(handler)
    logger = StructuredLogger(NAME)
    logger.info("hidden")
    logger.warning("shown")
    handler.setLevel(logging.DEBUG)
    handler.addFilter(lambda record: "no" not in record.getMessage())
    logger.info("no")
    logger.info("yes")
    assert [entry["message"] for entry in entries(sink)] == ["shown", "yes"]


def test_a_filter_of_the_logger_is_asked(handled: StructuredLogger, sink: FileSink) -> None:
    nobody_else_listens()
    handled.info("first")
    logging.getLogger(NAME).addFilter(lambda record: "no" not in record.getMessage())
    handled.info("no")
    handled.info("yes")
    assert [entry["message"] for entry in entries(sink)] == ["first", "yes"]


def test_a_logger_that_does_not_propagate_is_heard_by_its_own_handlers_only(
    handled: StructuredLogger, sink: FileSink
) -> None:
    kept = Kept()
    logging.getLogger("tests").addHandler(kept)
    handled.info("heard")
    logging.getLogger(NAME).propagate = False
    handled.info("not heard")
    assert len(kept.records) == 1
    assert len(entries(sink)) == 2


def test_a_logger_that_propagates_again_is_heard_again(handled: StructuredLogger) -> None:
    kept = Kept()
    logging.getLogger("tests").addHandler(kept)
    logging.getLogger(NAME).propagate = False
    handled.info("not heard")
    logging.getLogger(NAME).propagate = True
    handled.info("heard")
    assert [record.getMessage() for record in kept.records] == ["heard"]


def test_a_logger_that_is_put_in_between_later_is_heard(sink: FileSink) -> None:
    nobody_else_listens()
    logger = StructuredLogger("tests.late.child")
    logging.getLogger("tests").addHandler(JsonHandler(sink))
    logger.info("before")
    kept = Kept()
    logging.getLogger("tests.late").addHandler(kept)
    logger.info("after")
    logging.getLogger("tests.late").removeHandler(kept)
    assert [record.getMessage() for record in kept.records] == ["after"]


def test_two_of_our_handlers_both_get_the_entry(
    handled: StructuredLogger, sink: FileSink, tmp_path: Path
) -> None:
    second = FileSink(tmp_path / "second.jsonl")
    logging.getLogger("tests").addHandler(JsonHandler(second))
    handled.info("said", n=1)
    assert only(sink)["context"] == only(second)["context"] == {"n": 1}
    second.close()


def test_without_any_handler_a_warning_still_reaches_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nobody_else_listens()
    logger = StructuredLogger(NAME, "DEBUG")
    logger.info("hidden")
    logger.warning("shown", password="any")
    assert capsys.readouterr().err == "shown\n"


def test_without_even_that_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_else_listens()
    monkeypatch.setattr(logging, "lastResort", None)
    StructuredLogger(NAME, "DEBUG").critical("lost")


def test_a_logger_with_a_file_says_nothing_on_stderr(
    logger: StructuredLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody_else_listens()
    logger.critical("said")
    assert capsys.readouterr().err == ""


def test_what_is_only_for_the_file_does_not_reach_who_asked_for_less(
    sink: FileSink,
) -> None:
    kept = Kept()
    logging.getLogger("tests").addHandler(kept)
    logging.getLogger("tests").setLevel(logging.WARNING)
    logger = StructuredLogger("tests.file", "INFO", sink=sink)
    logger.info("for the file")
    logger.warning("for all")
    assert [record.getMessage() for record in kept.records] == ["for all"]
    assert len(entries(sink)) == 2


def test_basic_config_shows_entries_with_their_facts(
    handled: StructuredLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody_else_listens()
    logging.basicConfig(format="%(levelname)s %(message)s %(tenant)s", stream=sys.stderr)
    handled.info("said", tenant="a")
    assert capsys.readouterr().err == "INFO said a\n"


def test_dict_config_takes_the_formatter(
    handled: StructuredLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": "sdk_workflow.core.logging.JsonFormatter"}},
            "handlers": {
                "err": {
                    "class": "logging.StreamHandler",
                    "formatter": "json",
                    "stream": "ext://sys.stderr",
                }
            },
            "root": {"handlers": ["err"], "level": "INFO"},
        }
    )
    with PerformanceTracer().span("run") as span:
        handled.info("said", tenant="a")
        logging.getLogger("tests.other").info("plain %d", 5, extra={"n": 1})
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["message"], first["context"]) == ("said", {"tenant": "a"})
    assert (second["message"], second["context"]) == ("plain 5", {"n": 1})
    assert first["span_id"] == second["span_id"] == f"{span.span_id:016x}"


def test_arguments_that_do_not_fit_their_message_stand_beside_it() -> None:
    record = logging.makeLogRecord({"msg": "%d of %d", "args": ("x",), "exc_text": "Traceback"})
    entry = json.loads(JsonFormatter().format(record))
    assert entry["message"] == "%d of %d ['x']"
    assert entry["error"] == {"traceback": "Traceback"}


def test_a_record_of_broken_objects_is_formatted_all_the_same() -> None:
    record = logging.makeLogRecord({"msg": Broken(), "args": (Broken(),), "session_id": Broken()})
    entry = json.loads(JsonFormatter().format(record))
    assert (entry["message"], entry["session_id"]) == ("<Broken> ['<Broken>']", "<Broken>")


def test_a_record_that_cannot_be_formatted_is_told_the_standard_librarys_way(
    sink: FileSink, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = JsonHandler(sink)
    record = logging.makeLogRecord({"created": "never"})
    handler.handle(record)
    assert "Logging error" in capsys.readouterr().err
    assert entries(sink) == []


def test_a_handler_that_is_closed_has_written_what_it_got(
    handled: StructuredLogger, sink: FileSink
) -> None:
    nobody_else_listens()
    handled.info("said")
    handler = logging.getLogger(NAME).handlers[0]
    handler.flush()
    assert sink.path.read_text(encoding="utf-8").count("said") == 1
    handler.close()


# Hooks


def test_a_hook_sees_every_entry_that_is_logged(logger: StructuredLogger) -> None:
    seen: list[Mapping[str, Any]] = []
    logger.add_hook(seen.append)
    logger.set_level("INFO")
    logger.debug("hidden")
    logger.with_context(a=1).info("shown")
    assert [(entry["message"], entry["context"]) for entry in seen] == [("shown", {"a": 1})]


def test_a_hook_works_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_else_listens()
    monkeypatch.setattr(logging, "lastResort", None)
    seen: list[str] = []
    logger = StructuredLogger(NAME)
    logger.add_hook(lambda entry: seen.append(entry["message"]))
    logger.info("said")
    assert seen == ["said"]


def test_a_hook_that_fails_is_counted_and_told_of_once_and_disturbs_nobody(
    logger: StructuredLogger, sink: FileSink
) -> None:
    kept, seen = Kept(), []

    def broken(entry: Mapping[str, Any]) -> None:
        raise RuntimeError(entry["message"])

    logging.getLogger("sdk_workflow").addHandler(kept)
    logger.add_hook(broken)
    logger.add_hook(lambda entry: seen.append(entry["message"]))
    for number in range(3):
        logger.info("entry", number=number)
    assert logger.hook_failure_count == 3
    assert len(seen) == len(entries(sink)) == 3
    (record,) = kept.records
    assert "broken" in record.getMessage()
    assert "only counted" in record.getMessage()


def test_a_hook_cannot_change_what_is_logged_and_can_log_itself(
    logger: StructuredLogger, sink: FileSink
) -> None:
    def hook(entry: Any) -> None:
        logger.info("from the hook")
        entry["message"] = "changed"

    logger.add_hook(hook)
    logger.info("said")
    logger.info("said again")
    messages = [entry["message"] for entry in entries(sink)]
    assert messages == ["said", "from the hook", "said again", "from the hook"]
    assert logger.hook_failure_count == 2


def test_a_hook_has_to_be_callable(logger: StructuredLogger) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        logger.add_hook("hook")  # type: ignore[arg-type]


# Many threads


def test_no_entry_of_many_threads_is_lost_or_torn(logger: StructuredLogger, sink: FileSink) -> None:
    def work(number: int) -> None:
        for count in range(300):
            logger.log("WARNING" if count % 50 == 0 else "INFO", "said", thread=number, n=count)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = entries(sink)
    assert len(found) == 8 * 300
    for number in range(8):
        mine = [entry["context"]["n"] for entry in found if entry["context"]["thread"] == number]
        assert mine == list(range(300))


# The factory


def library_log(home: Path) -> Path:
    """Return where a state folder keeps its log."""
    return home / "logs" / "sdk_workflow.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_log_of_a_state_folder_holds_our_entries_and_the_librarys_own(tmp_path: Path) -> None:
    nobody_else_listens()
    logger = open_logger(tmp_path, secrets=["harbour-master"], clock=VirtualClock(START))
    assert list(tmp_path.iterdir()) == []
    logger.info("started")
    logging.getLogger("sdk_workflow.retry").warning("harbour-master failed: %s", "why")
    logger.close()
    logger.close()
    found = [(entry["logger"], entry["message"]) for entry in read(library_log(tmp_path))]
    assert found == [
        ("sdk_workflow.runtime", "started"),
        ("sdk_workflow.retry", f"{REDACTED} failed: why"),
    ]
    assert logging.getLogger("sdk_workflow").handlers == []


def test_two_state_folders_have_two_logs(tmp_path: Path) -> None:
    first, second = open_logger(tmp_path / "a"), open_logger(tmp_path / "b")
    kept = Kept()
    logging.getLogger("sdk_workflow").addHandler(kept)
    first.warning("of a")
    second.warning("of b")
    first.close()
    second.close()
    messages = [[entry["message"] for entry in read(library_log(tmp_path / name))] for name in "ab"]
    assert messages == [["of a"], ["of b"]]
    assert len(kept.records) == 2


def test_two_loggers_of_one_state_folder_share_its_file(tmp_path: Path) -> None:
    first, second = open_logger(tmp_path), open_logger(tmp_path)
    first.close()
    logging.getLogger("sdk_workflow.retry").warning("once")
    second.info("still open")
    second.close()
    messages = [entry["message"] for entry in read(library_log(tmp_path))]
    assert messages == ["once", "still open"]


def test_a_warning_of_the_library_still_reaches_stderr_once_where_nobody_else_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody_else_listens()
    loggers = [open_logger(tmp_path / name) for name in "ab"]
    library = logging.getLogger("sdk_workflow.retry")
    library.warning("shown")
    logging.getLogger("sdk_workflow").addHandler(Kept())
    library.warning("shown elsewhere")
    for logger in loggers:
        logger.close()
    assert capsys.readouterr().err == "shown\n"


def test_flush_writes_what_waits(logger: StructuredLogger, sink: FileSink) -> None:
    logger.info("said")
    logger.flush()
    assert sink.path.read_text(encoding="utf-8").count("said") == 1


def test_to_close_or_flush_a_logger_without_a_file_does_nothing(handled: StructuredLogger) -> None:
    nobody_else_listens()
    handled.flush()
    handled.close()
    StructuredLogger("tests.nobody").flush()
