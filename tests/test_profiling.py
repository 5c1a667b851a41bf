from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from sdk_workflow.core.flame_tree import build_tree
from sdk_workflow.core.flamegraph import to_collapsed, to_html, to_svg
from sdk_workflow.core.hotspots import find_hotspots
from sdk_workflow.core.memory_profile import MemoryTrace
from sdk_workflow.core.profile_comparison import compare
from sdk_workflow.core.profiling import Profiler, ProfileReport
from sdk_workflow.core.sampler import Sampler, is_idle
from sdk_workflow.core.speedscope import sampled_document
from sdk_workflow.core.stacks import Frame, StackProfile, StackWeight
from sdk_workflow.exceptions import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sdk_workflow.core.stacks import Stack

MS = 1_000_000
STANDARD_LIBRARY = Path(os.__file__).parent


def frame(function: str, line: int = 1, file: str = "/app/pkg/mod.py") -> Frame:
    return Frame(function, file, line)


def stack(*functions: str) -> Stack:
    return tuple(frame(function) for function in functions)


def profile_of(weights_ms: dict[Stack, int], *, samples: int = 1000) -> StackProfile:
    """Return a profile whose weights are given in milliseconds."""
    return StackProfile(
        stacks={key: StackWeight(ms, ms * MS) for key, ms in weights_ms.items()},
        effective_samples=samples,
    )


def fake_frame(*functions: str, file: str = "/app/pkg/mod.py") -> Any:
    """Return what the interpreter would: the innermost frame, linked outwards."""
    innermost = None
    for function in functions:
        code = SimpleNamespace(
            co_name=function, co_qualname=function, co_filename=file, co_firstlineno=1
        )
        innermost = SimpleNamespace(f_code=code, f_back=innermost)
    return innermost


class Machine:
    """Threads and a CPU clock that stand where a test puts them."""

    def __init__(self) -> None:
        self.threads: dict[int, Any] = {}
        self.cpu_ns = 0

    def sampler(self, interval_seconds: float = 0.005) -> Sampler:
        return Sampler(
            interval_seconds,
            frame_source=lambda: self.threads,
            cpu_clock_ns=lambda: self.cpu_ns,
            thread_source=dict,  # the clocks of real threads have no say here
        )


@pytest.fixture
def machine() -> Machine:
    return Machine()


class StillSampler(Sampler):
    """A sampler without a thread that hands out what it was given."""

    def __init__(self, profile: StackProfile) -> None:
        super().__init__()
        self._profile = profile

    def start(self) -> None:
        pass

    def stop(self) -> StackProfile:
        return self._profile


def finished_profiler(profile: StackProfile) -> Profiler:
    profiler = Profiler(profile_memory=False, new_sampler=lambda _: StillSampler(profile))
    with profiler:
        pass
    return profiler


# --- sampling ------------------------------------------------------------------------------------


def test_sample_is_weighted_with_the_cpu_time_since_the_one_before(machine: Machine) -> None:
    sampler = machine.sampler()
    machine.cpu_ns = 7 * MS
    sampler.begin()
    machine.threads = {-1: fake_frame("main", "fast")}
    machine.cpu_ns += 5 * MS
    sampler.sample()
    machine.threads = {-1: fake_frame("main", "slow")}
    machine.cpu_ns += 45 * MS
    sampler.sample()
    found = sampler.result()
    assert found.stacks == {
        stack("main", "fast"): (1, 5 * MS),
        stack("main", "slow"): (1, 45 * MS),
    }
    assert (found.samples, found.cpu_ns) == (2, 50 * MS)
    assert found.effective_samples == pytest.approx(50**2 / (5**2 + 45**2))


def test_working_threads_share_the_time_and_idle_ones_get_none(machine: Machine) -> None:
    sampler = machine.sampler()
    machine.threads = {
        -1: fake_frame("a"),
        -2: fake_frame("b"),
        -3: fake_frame("select", file=str(STANDARD_LIBRARY / "selectors.py")),
    }
    machine.cpu_ns = 10 * MS
    sampler.sample()
    assert sampler.result().stacks == {stack("a"): (1, 5 * MS), stack("b"): (1, 5 * MS)}


def test_thread_that_samples_is_left_out(machine: Machine) -> None:
    sampler = machine.sampler()
    machine.threads = {threading.get_ident(): fake_frame("sampler")}
    machine.cpu_ns = 3 * MS
    sampler.sample()
    found = sampler.result()
    assert (found.samples, found.idle_samples, found.unattributed_ns) == (0, 1, 3 * MS)
    assert found.effective_samples == 0


def test_sample_of_a_process_that_used_no_cpu_is_idle(machine: Machine) -> None:
    sampler = machine.sampler(interval_seconds=0.005)
    machine.threads = {-1: fake_frame("sleeper")}
    machine.cpu_ns = 49_999
    sampler.sample()
    assert (sampler.result().samples, sampler.result().idle_samples) == (0, 1)
    machine.cpu_ns += 50_000
    sampler.sample()
    assert (sampler.result().samples, sampler.result().idle_samples) == (1, 1)


def test_very_deep_stack_keeps_its_innermost_frames(machine: Machine) -> None:
    sampler = machine.sampler()
    machine.threads = {-1: fake_frame(*(f"f{number}" for number in range(500)))}
    machine.cpu_ns = MS
    sampler.sample()
    (found,) = sampler.result().stacks
    assert len(found) == 128
    assert found[-1].function == "f499"


def test_equal_functions_of_two_files_stay_two_functions(machine: Machine) -> None:
    sampler = machine.sampler()
    sources = [("/app/a.py", "def same(): return sys._getframe()"), ("/app/b.py", "")]
    for path in (source[0] for source in sources):
        space: dict[str, Any] = {"sys": sys}
        exec(compile(sources[0][1], path, "exec"), space)  # noqa: S102 - two files of equal code
        machine.threads = {-1: SimpleNamespace(f_code=space["same"].__code__, f_back=None)}
        machine.cpu_ns += MS
        sampler.sample()
    assert {found[0].file for found in sampler.result().stacks} == {"/app/a.py", "/app/b.py"}


@pytest.mark.parametrize(
    ("function", "file", "expected"),
    [
        ("Condition.wait", STANDARD_LIBRARY / "threading.py", True),
        ("EpollSelector.select", STANDARD_LIBRARY / "selectors.py", True),
        ("Queue.get", STANDARD_LIBRARY / "queue.py", True),
        ("Thread.run", STANDARD_LIBRARY / "threading.py", False),
        ("Store.get", Path("/app/queue.py"), False),
    ],
)
def test_only_the_waits_of_the_standard_library_are_idle(
    function: str, file: Path, expected: bool  # noqa: FBT001 - a parameter of the test
) -> None:
    assert is_idle(Frame(function, str(file), 1)) is expected


# In a process of its own: the threads of a test runner are none of the profile's business.
BUSY_AND_WAITING = """
import threading, time
from sdk_workflow.core.profile_comparison import compare
from sdk_workflow.core.profiling import Profiler

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(number * number for number in range(500))

released = threading.Event()
waiting = threading.Thread(target=released.wait)
waiting.start()
with Profiler(profile_memory=False, interval_ms=1) as profiler:
    burn(0.3)
released.set()
waiting.join()
spots = {spot.function.rpartition(".")[2]: spot for spot in profiler.report.hotspots}
assert spots["burn"].total_share > 0.9, spots
assert profiler.report.cpu_ms >= 300
assert not any(spot.self_share > 0.1 and "wait" in spot.function for spot in spots.values()), spots
"""


def test_real_busy_function_is_found_and_a_waiting_thread_is_not() -> None:
    subprocess.run([sys.executable, "-c", BUSY_AND_WAITING], check=True, timeout=50)


# --- hot spots and comparison --------------------------------------------------------------------


def test_hotspots_are_ordered_by_own_time_and_count_recursion_once() -> None:
    spots = find_hotspots(profile_of({stack("main", "f", "g", "f"): 30, stack("main", "g"): 10}))
    assert [(spot.function, spot.self_share, spot.total_share) for spot in spots] == [
        ("f", 0.75, 0.75),
        ("g", 0.25, 1.0),
        ("main", 0.0, 1.0),
    ]
    assert (spots[0].self_ms, spots[0].total_ms, spots[0].count) == (30.0, 30.0, 30)


def test_hotspots_of_an_empty_profile_are_none() -> None:
    assert find_hotspots(StackProfile()) == []


def test_comparison_names_the_function_that_got_dearer_first() -> None:
    before = profile_of({stack("a"): 200, stack("b"): 300, stack("c"): 500})
    after = profile_of({stack("a"): 400, stack("b"): 225, stack("c"): 375})
    comparison = compare(before, after)
    worst = comparison.changes[0]
    assert (worst.function, worst.share_before, worst.share_after) == ("a", 0.2, 0.4)
    # z for 5 % over three functions is 2.394.
    assert worst.noise_bound == pytest.approx(2.394 * (0.16 / 1000 + 0.24 / 1000) ** 0.5, rel=1e-3)
    assert comparison.functions_tested == 3
    assert "+20.0%" in str(comparison)


def test_comparison_notices_functions_that_came_and_went() -> None:
    comparison = compare(profile_of({stack("old"): 1000}), profile_of({stack("new"): 1000}))
    assert {change.function: change.delta for change in comparison.changes} == {
        "old": -1.0,
        "new": 1.0,
    }


def test_comparison_of_two_runs_of_the_same_code_shows_nothing() -> None:
    source = random.Random(7)  # noqa: S311 - repeatable, not secret
    names = [f"f{number}" for number in range(12)]

    def run() -> StackProfile:
        drawn = source.choices(names, weights=range(1, 13), k=2000)
        return profile_of({stack(name): drawn.count(name) for name in names}, samples=2000)

    rows = [len(compare(run(), run()).changes) for _ in range(40)]
    assert sum(count > 0 for count in rows) <= 5  # 2 expected
    assert str(compare(run(), run())) == "No significant change among 12 functions."


def test_comparison_with_an_empty_profile_claims_nothing() -> None:
    assert compare(StackProfile(), profile_of({stack("a"): 10})).changes == ()
    assert compare(StackProfile(), StackProfile()).functions_tested == 0


# --- drawings ------------------------------------------------------------------------------------

NASTY = '</script><script>alert("1")</script>;&\n'
DRAWN = profile_of({stack("main", "f"): 75, stack("main", NASTY): 25})


def test_tree_adds_up_what_stacks_have_in_common() -> None:
    root = build_tree(DRAWN)
    (main,) = root.children.values()
    assert (root.cpu_ns, main.cpu_ns) == (100 * MS, 100 * MS)
    assert main.label == "main (pkg/mod.py:1)"
    assert sorted(child.cpu_ns for child in main.children.values()) == [25 * MS, 75 * MS]


def test_collapsed_stacks_are_one_line_each_in_microseconds() -> None:
    lines = to_collapsed(DRAWN).splitlines()
    assert len(lines) == 2
    assert "main (pkg/mod.py:1);f (pkg/mod.py:1) 75000" in lines
    assert all(line.count(";") == 1 for line in lines)


def test_svg_is_well_formed_escaped_and_as_wide_as_the_shares() -> None:
    root = ET.fromstring(to_svg(DRAWN, "CPU <time>"))  # noqa: S314 - our own text
    space = "{http://www.w3.org/2000/svg}"
    boxes = {
        group.findtext(f"{space}title", ""): float(group.find(f"{space}rect").get("width", "0"))  # type: ignore[union-attr]
        for group in root.iter(f"{space}g")
    }
    assert boxes["f (pkg/mod.py:1): 75.0%, 75.0 ms"] == 900.0
    assert boxes["all threads: 100.0%, 100.0 ms"] == 1200.0
    assert len(boxes) == 4


def test_svg_puts_siblings_side_by_side() -> None:
    drawing = to_svg(profile_of({stack("a"): 25, stack("b"): 75}), "CPU")
    root = ET.fromstring(drawing)  # noqa: S314 - our own text
    boxes = [rect.get("x") for rect in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert sorted(box for box in boxes if box is not None) == ["0.00", "0.00", "300.00"]


def test_svg_leaves_out_what_is_too_narrow_to_see() -> None:
    drawing = to_svg(profile_of({stack("wide"): 99_999, stack("thin"): 1}), "CPU")
    assert "wide" in drawing
    assert "thin" not in drawing


def test_svg_of_an_empty_profile_is_well_formed() -> None:
    assert ET.fromstring(to_svg(StackProfile(), "CPU")) is not None  # noqa: S314 - our own text


def test_html_holds_names_as_data_and_fetches_nothing() -> None:
    page = to_html(DRAWN, "CPU <time>")
    data = page.split('id="data">')[1].split("</script>")[0]
    label, value, _, _, children = json.loads(data)
    assert (label, value) == ("all threads", 100 * MS)
    assert any(NASTY in child[0] for child in children[0][4])
    assert page.count("<script") == 2
    assert "CPU &lt;time&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_speedscope_samples_point_to_frames_and_weigh_nanoseconds() -> None:
    document = sampled_document(DRAWN)
    (profile,) = document["profiles"]
    frames = document["shared"]["frames"]
    named = [[frames[index]["name"] for index in sample] for sample in profile["samples"]]
    assert named == [["main", "f"], ["main", NASTY]]
    assert profile["weights"] == [75 * MS, 25 * MS]
    assert profile["endValue"] == sum(profile["weights"])
    assert frames[0] == {"name": "main", "file": "/app/pkg/mod.py", "line": 1}


# --- the profiler --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("p.html", "<!DOCTYPE html>"),
        ("p.svg", "<svg"),
        ("p.collapsed", "main"),
        ("p.speedscope.json", '{"$schema"'),
    ],
)
def test_flamegraph_is_written_in_the_form_of_its_suffix(
    tmp_path: Path, name: str, start: str
) -> None:
    finished_profiler(DRAWN).export_flamegraph(tmp_path / name)
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_flamegraph_with_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="suffix names no known format") as caught:
        finished_profiler(DRAWN).export_flamegraph(tmp_path / "p.png")
    assert ".speedscope.json" in caught.value.hint


def test_flamegraph_in_a_missing_folder_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        finished_profiler(DRAWN).export_flamegraph(tmp_path / "missing" / "p.svg")


def test_report_prints_the_dearest_functions_and_how_to_read_them() -> None:
    text = str(finished_profiler(DRAWN).report)
    assert "100 samples at work, 0 idle" in text
    assert "  75.0%   75.0%       75.0  f (/app/pkg/mod.py:1)" in text
    assert text.endswith("see spans.")


def test_hotspots_are_cut_to_the_number_asked_for() -> None:
    profiler = finished_profiler(DRAWN)
    assert [spot.function for spot in profiler.get_hotspots(1)] == ["f"]
    assert profiler.get_hotspots(0) == []
    with pytest.raises(UsageError):
        profiler.get_hotspots(-1)


def test_profiles_compare_from_the_first_to_the_second() -> None:
    first = finished_profiler(profile_of({stack("a"): 200, stack("b"): 800}))
    second = finished_profiler(profile_of({stack("a"): 600, stack("b"): 400}))
    changes = first.compare_profiles(second).changes
    assert {change.function: round(change.delta, 3) for change in changes} == {"a": 0.4, "b": -0.4}


@pytest.mark.parametrize(
    "use",
    [
        lambda profiler: profiler.stop_profiling(),
        lambda profiler: profiler.get_hotspots(),
        lambda profiler: profiler.export_flamegraph(Path("p.svg")),
        lambda profiler: profiler.compare_profiles(profiler),
    ],
)
def test_results_before_a_finished_run_are_usage_errors(use: Callable[[Profiler], Any]) -> None:
    with pytest.raises(UsageError):
        use(Profiler())


def test_starting_twice_is_a_usage_error_and_the_first_run_goes_on() -> None:
    profiler = Profiler(profile_memory=False, new_sampler=lambda _: StillSampler(DRAWN))
    with profiler:
        with pytest.raises(UsageError, match="running already"):
            profiler.start_profiling()
        assert isinstance(profiler.stop_profiling(), ProfileReport)
    assert profiler.report.sample_count == 100


def test_new_run_forgets_the_one_before() -> None:
    profiles = iter([DRAWN, StackProfile()])
    profiler = Profiler(profile_memory=False, new_sampler=lambda _: StillSampler(next(profiles)))
    with profiler:
        pass
    profiler.start_profiling()
    with pytest.raises(UsageError, match="no profile yet"):
        profiler.get_hotspots()
    assert profiler.stop_profiling().hotspots == ()


@pytest.mark.parametrize(
    "options",
    [
        {"profile_cpu": False, "profile_memory": False},
        {"mode": "magic"},
        {"interval_ms": 0},
    ],
)
def test_impossible_options_are_usage_errors(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Profiler(**options)


# --- calls and memory ----------------------------------------------------------------------------


@pytest.fixture
def no_other_profiler() -> Iterator[None]:
    """Take away the hook of whatever measures the tests."""
    hook = sys.getprofile()
    sys.setprofile(None)
    yield
    sys.setprofile(hook)


def tiny() -> int:
    return 1


def many_calls() -> int:
    return sum(tiny() for _ in range(300))


@pytest.mark.usefixtures("no_other_profiler")
def test_deterministic_mode_counts_every_call() -> None:
    with Profiler(profile_memory=False, mode="deterministic") as profiler:
        many_calls()
    report = profiler.report
    counts = {spot.function: spot.count for spot in report.hotspots}
    assert (counts["tiny"], counts["many_calls"]) == (300, 1)
    assert not any("rofil" in spot.function for spot in report.hotspots)
    assert sum(spot.self_share for spot in report.hotspots) == pytest.approx(1)
    assert (report.mode, report.sample_count) == ("deterministic", 0)
    assert "two to three times" in report.notes[0]


@pytest.mark.usefixtures("no_other_profiler")
def test_deterministic_profile_has_no_stacks_to_draw_or_compare(tmp_path: Path) -> None:
    with Profiler(profile_memory=False, mode="deterministic") as profiler:
        many_calls()
    with pytest.raises(UsageError, match="no sampled stacks to draw"):
        profiler.export_flamegraph(tmp_path / "p.svg")
    with pytest.raises(UsageError, match="no sampled stacks to compare"):
        profiler.compare_profiles(profiler)


@pytest.mark.usefixtures("no_other_profiler")
@pytest.mark.parametrize("profile_memory", [True, False])
def test_deterministic_mode_beside_another_profiler_is_a_usage_error(
    *, profile_memory: bool
) -> None:
    profiler = Profiler(profile_memory=profile_memory, mode="deterministic")
    sys.setprofile(lambda *_: None)
    with pytest.raises(UsageError, match="another profiler is active") as caught:
        profiler.start_profiling()
    sys.setprofile(None)
    assert "sampling" in caught.value.hint
    assert not tracemalloc.is_tracing()
    profiler.start_profiling()
    profiler.stop_profiling()


def test_error_of_the_interpreter_about_another_profiler_is_translated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sdk_workflow.core.call_profile import CallProfile

    class Taken:
        def enable(self) -> None:
            raise ValueError("Another profiling tool is already active")

    monkeypatch.setattr("cProfile.Profile", Taken)
    monkeypatch.setattr(sys, "getprofile", lambda: None)
    with pytest.raises(UsageError, match="another profiler is active"):
        CallProfile().start()


def test_memory_is_traced_only_while_profiling_and_names_the_line() -> None:
    with Profiler(profile_cpu=False) as profiler:
        kept = [bytearray(1000) for _ in range(500)]
    line = sys._getframe().f_lineno - 1
    assert not tracemalloc.is_tracing()
    memory = profiler.report.memory
    assert memory is not None
    assert len(kept) == 500
    (site,) = [site for site in memory.sites if site.file == __file__ and site.line == line]
    assert site.size_bytes > 500_000
    assert site.block_count >= 500
    assert memory.peak_bytes >= site.size_bytes
    assert f"{__file__}:{line}" in str(profiler.report)
    assert profiler.report.hotspots == ()
    assert profiler.report.notes == ()


def test_memory_beside_cpu_says_what_it_costs() -> None:
    with Profiler(new_sampler=lambda _: StillSampler(DRAWN)) as profiler:
        pass
    assert any("ten times" in note for note in profiler.report.notes)


def test_memory_trace_of_somebody_else_goes_on_and_only_growth_is_reported() -> None:
    tracemalloc.start()
    before = [bytearray(100_000) for _ in range(3)]
    try:
        trace = MemoryTrace()
        trace.start()
        after = [bytearray(50_000) for _ in range(3)]
        report = trace.stop()
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    largest = report.sites[0]
    assert len(before) == len(after)
    assert (largest.file, largest.size_bytes // 1000) == (__file__, 150)
