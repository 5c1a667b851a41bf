"""The other places where something is written down: traces and errors let no secret through either."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.redaction import REDACTED
from sdk_workflow.cli.console import Console
from sdk_workflow.cli.rendering import dump, error_object, tell_of_call
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.core.span_privacy import without_secrets
from sdk_workflow.core.trace_export import FORMATS
from sdk_workflow.events import CallRetried
from sdk_workflow.exceptions import LLMError
from sdk_workflow.types import Call
from tests.planted_secrets import planted

if TYPE_CHECKING:
    from sdk_workflow._internal.tracing import Span

SECRETS = planted()


class Shy:
    """Shows a secret only when it is turned into text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def spans_with(text: str) -> list[Span]:
    """Return one span for each place of a span in which a text may stand."""
    tracer = PerformanceTracer()
    tracer.span(f"fetch {text}").end()
    tracer.span("fetch", url=text).end()
    tracer.span("fetch", nested={"deep": [text]}, object=Shy(text)).end()
    odd: dict[str, Any] = {text: 1}
    tracer.span("fetch", **odd).end()
    failed = tracer.span("fetch")
    failed.fail(f"refused: {text}")
    failed.end()
    with tracer.span("fetch") as span:
        span.add_event("sent", url=text)
    with tracer.span("fetch") as span:
        span.add_event(f"sent {text}")
    return tracer.finished_spans()


@pytest.mark.parametrize("format_name", FORMATS)
def test_no_planted_secret_gets_into_a_trace(format_name: str) -> None:
    tracer = PerformanceTracer()
    for secret in SECRETS:
        for span in spans_with(secret.text):
            tracer.record(span)
    text = tracer.export_traces(format_name)
    assert text.count("fetch") > 0
    leaks = {secret.kind for secret in SECRETS if secret.core in text}
    assert leaks == set()


def test_a_span_with_a_secret_is_copied_and_every_other_one_is_the_same() -> None:
    tracer = PerformanceTracer()
    facts: dict[str, Any] = {"model": "claude", "tokens": 12, "ok": True, "none": None}
    with tracer.span("clean", **facts) as clean:
        clean.add_event("sent", bytes=5)
    tracer.span("secret", password="any", card=4111111111111111, n=1).end()
    tracer.span("card", number=4111111111111111).end()
    kept = tracer.finished_spans()
    first, second, third = without_secrets(kept)
    assert third.attributes == {"number": "[card]"}
    assert first is kept[0]
    assert second is not kept[1]
    assert second.attributes == {"password": REDACTED, "card": "[card]", "n": 1}
    assert (second.span_id, second.start_ns) == (kept[1].span_id, kept[1].start_ns)
    assert kept[1].attributes["password"] == "any"


def test_names_of_ours_stay_in_a_trace() -> None:
    tracer = PerformanceTracer()
    facts: dict[str, Any] = {"gen_ai.usage.input_tokens": 5, "gen_ai.conversation.id": "ses_1"}
    tracer.span("chat", **facts).end()
    (span,) = without_secrets(tracer.finished_spans())
    assert span.attributes == facts


def test_a_span_with_a_name_that_is_no_text_is_exported_all_the_same() -> None:
    tracer = PerformanceTracer()
    tracer.span("odd", a=(1, 2)).end()
    span = tracer.finished_spans()[0]
    span.attributes[5] = "five"  # type: ignore[index] # attributes are the caller's own mapping
    (shown,) = without_secrets([span])
    assert shown.attributes == {"a": [1, 2], "5": "five"}


def test_no_planted_secret_is_shown_with_an_error() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err)
    call = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hello"},))
    for secret in SECRETS:
        error = LLMError(f"It said: {secret.text}", hint=f"Look at {secret.text}.")
        console.error(error)
        tell_of_call(CallRetried(call=call, attempt=1, wait_seconds=1.0, error=error), console)
        console.result(dump(error_object(error)))
    shown = out.getvalue() + err.getvalue()
    assert shown.count("It said: ") == 3 * len(SECRETS)
    assert [secret for secret in SECRETS if secret.core in shown] == []
