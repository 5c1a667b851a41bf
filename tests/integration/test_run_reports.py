"""`--trace-output` and `--profile`: files that other programs open."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from tests.cli.program import KEY, QUESTION, Program
from tests.strict_otlp import parse_otlp, parsed_spans, plain_attributes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.program import Outcome

ERROR = 2
HOT_SPOT = re.compile(r"\d+\.\d%\s+\d+\.\d%\s+\S")
OUTWARD = re.compile(r"""(?:src|href)\s*=\s*["']?(?!#)|@import|url\(\s*["']?http|fetch\(|//cdn""")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program.in_folder(tmp_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    outcome: Outcome
    document: str
    spans: list[Any]

    @property
    def roots(self) -> list[Any]:
        return [span for span in self.spans if not span.parent_span_id]

    def of(self, operation: str) -> list[Any]:
        return [span for span in self.spans if _operation(span) == operation]


def _operation(span: Any) -> Any:
    scalars = [pair for pair in span.attributes if not pair.value.HasField("array_value")]
    return plain_attributes(scalars).get("gen_ai.operation.name")


def _traced(program: Program, *arguments: str) -> Traced:
    outcome = program.run("run", "--trace-output", "traces.json", *arguments)
    document = (program.folder / "traces.json").read_text("utf-8")
    return Traced(outcome=outcome, document=document, spans=parsed_spans(document))


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    program = Program.in_folder(tmp_path_factory.mktemp("traced"))
    return _traced(program, "--profile", "--output", "json", QUESTION)


def test_a_trace_is_strict_otlp_with_a_named_service(traced: Traced) -> None:
    [resource] = parse_otlp(traced.document).resource_spans

    assert traced.outcome.code == 0
    assert plain_attributes(resource.resource.attributes)["service.name"] == "sdk_workflow"


def test_a_trace_has_one_root_that_the_result_names(traced: Traced) -> None:
    [root] = traced.roots

    assert root.trace_id.hex() == traced.outcome.document["trace_id"]
    assert {span.trace_id for span in traced.spans} == {root.trace_id}
    assert len({span.span_id for span in traced.spans}) == len(traced.spans)


def test_a_trace_has_a_child_for_each_model_call_and_each_tool_call(traced: Traced) -> None:
    [root] = traced.roots
    result = traced.outcome.document

    chats, tools = traced.of("chat"), traced.of("execute_tool")
    assert len(chats) == result["turns"] == 2
    assert len(tools) == len(result["tool_calls"]) == 2
    assert {span.parent_span_id for span in [*chats, *tools]} == {root.span_id}
    assert {span.name.split()[-1] for span in tools} == {"read", "bash"}
    assert all(result["model"] in span.name for span in chats)


def test_spans_lie_within_their_root(traced: Traced) -> None:
    [root] = traced.roots

    for span in traced.spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert root.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano


def test_a_model_call_carries_its_usage(traced: Traced) -> None:
    totals = [0, 0]
    for span in traced.of("chat"):
        scalars = [pair for pair in span.attributes if not pair.value.HasField("array_value")]
        attributes = plain_attributes(scalars)
        totals[0] += attributes["gen_ai.usage.input_tokens"]
        totals[1] += attributes["gen_ai.usage.output_tokens"]

    usage = traced.outcome.document["usage"]
    prompt = sum(count for name, count in usage.items() if "input" in name)
    assert totals == [prompt, usage["output_tokens"]]


def test_a_trace_and_a_profile_leave_stdout_to_the_result(traced: Traced) -> None:
    assert traced.outcome.document["ok"] is True
    assert "traces.json" in traced.outcome.message


def test_a_batch_has_one_root_for_each_prompt(program: Program) -> None:
    (program.folder / "prompts.jsonl").write_text(
        '"One?"\n"Two?"\n"What files are here?"\n', "utf-8"
    )

    traced = _traced(program, "--input", "prompts.jsonl", "--concurrency", "3", "--output", "jsonl")

    assert len(traced.roots) == 3
    assert {root.trace_id.hex() for root in traced.roots} == {
        record["trace_id"] for record in traced.outcome.records
    }
    by_root = {root.span_id: root.trace_id for root in traced.roots}
    children = [span for span in traced.spans if span.parent_span_id in by_root]
    assert len(children) == 1 + 1 + 3
    assert all(by_root[span.parent_span_id] == span.trace_id for span in children)


def test_a_failed_tool_call_is_an_error_in_the_trace_and_the_run_is_none(program: Program) -> None:
    traced = _traced(program, "What does missing.txt say?")

    [tool], [root] = traced.of("execute_tool"), traced.roots
    assert traced.outcome.code == 0
    assert tool.status.code == ERROR
    assert root.status.code != ERROR


def test_a_run_out_of_time_leaves_a_trace_that_says_so(program: Program) -> None:
    traced = _traced(program, "--tools", "bash", "--timeout", "1", "run `sleep 30`")

    [root] = traced.roots
    assert traced.outcome.code == 7
    assert root.status.code == ERROR
    assert len(traced.of("execute_tool")) == 1


def test_a_trace_replaces_an_older_one_and_is_private(program: Program) -> None:
    (program.folder / "traces.json").write_text("older " * 10_000, "utf-8")

    traced = _traced(program, "Hi")

    assert len(traced.roots) == 1
    mode = (program.folder / "traces.json").stat().st_mode
    assert stat.S_IMODE(mode) & stat.S_IRWXO & ~stat.S_IROTH == 0


def test_a_trace_holds_no_key(program: Program) -> None:
    (program.folder / ".env").write_text(f"ANTHROPIC_API_KEY={KEY}\n", "utf-8")

    assert KEY not in _traced(program, "--backend", "simulator", "Hi").document


def test_a_chrome_trace_holds_the_same_spans(program: Program) -> None:
    outcome = program.run("run", "--trace-output", "t.json", "--trace-format", "chrome", QUESTION)

    events = json.loads((program.folder / "t.json").read_text("utf-8"))["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert outcome.code == 0
    of_calls = [span for span in spans if span["name"].startswith(("chat", "execute_tool"))]
    assert len(of_calls) == 4
    assert all({"name", "pid", "tid", "ts", "dur"} <= set(span) for span in spans)
    assert all(span["dur"] >= 0 for span in spans)


def test_a_profile_shows_hot_spots_on_stderr_and_writes_a_page_that_stands_alone(
    program: Program,
) -> None:
    before = set(program.files())

    outcome = program.run("run", "--profile", QUESTION)

    [page] = set(program.files()) - before
    content = (program.folder.parent / page).read_text("utf-8")
    assert outcome.code == 0
    assert HOT_SPOT.search(outcome.err)
    assert not HOT_SPOT.search(outcome.out)
    assert "Lighthouse of Alexandria" in outcome.out
    assert page.endswith(".html")
    assert page.rpartition("/")[2] in outcome.message
    assert content.lstrip().lower().startswith("<!doctype html")
    assert not OUTWARD.search(content)
    assert re.findall(r"https?://(?!www\.w3\.org/)\S+", content) == []


def test_a_profile_as_svg_is_well_formed_and_stands_alone(program: Program) -> None:
    outcome = program.run("run", "--profile-output", "p.svg", QUESTION)

    content = (program.folder / "p.svg").read_text("utf-8")
    root = ET.fromstring(content)  # noqa: S314 - our own file
    assert outcome.code == 0
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not OUTWARD.search(content)
    assert HOT_SPOT.search(outcome.err)


def test_a_collapsed_profile_has_stacks_and_counts(program: Program) -> None:
    outcome = program.run("run", "--profile-output", "p.collapsed", QUESTION)

    lines = (program.folder / "p.collapsed").read_text("utf-8").splitlines()
    assert outcome.code == 0
    assert lines
    assert all(re.fullmatch(r".+ [1-9]\d*", line) for line in lines)


def test_a_speedscope_profile_is_what_speedscope_reads(program: Program) -> None:
    outcome = program.run("run", "--profile-output", "p.speedscope.json", QUESTION)

    document = json.loads((program.folder / "p.speedscope.json").read_text("utf-8"))
    frames = document["shared"]["frames"]
    assert outcome.code == 0
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    for profile in document["profiles"]:
        assert profile["type"] == "sampled"
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(0 <= index < len(frames) for sample in profile["samples"] for index in sample)
