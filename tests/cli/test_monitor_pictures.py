"""What the monitor shows, for every kind of process and every size of terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk_workflow.cli.monitor.details import detail_lines
from sdk_workflow.cli.monitor.overview import budget_style, list_lines
from sdk_workflow.cli.monitor.picture import NOTHING_YET, Snapshot, draw
from sdk_workflow.cli.monitor.rows import SORTS, row_of, sorted_rows, totals_of
from sdk_workflow.cli.monitor.series import PART_SORTS
from sdk_workflow.cli.monitor.view_state import ViewState, first_state, press
from sdk_workflow.monitor.live_shape import live_document
from sdk_workflow.monitor.processes import SeenProcess
from sdk_workflow.monitor.run_folder import RunName
from tests.monitor import live_files as files
from tests.monitor.live_files import NOW
from tests.monitor.reader.test_live_shape import anything, damaged


def seen(
    pid: int = 4242, *, status: Any = "running", problem: str | None = None, **changes: Any
) -> SeenProcess:
    name = RunName(pid, "abc")
    live = live_document(files.live(pid, **changes))
    return SeenProcess(
        name=name, folder=Path("run", name.folder), status=status, live=live, problem=problem
    )


def text_of(process: SeenProcess, *, width: int = 100, **options: Any) -> str:
    return "\n".join(line.plain for line in detail_lines(process, NOW, width, **options))


def shown(
    *processes: SeenProcess, state: ViewState | None = None, size: tuple[int, int] = (80, 24)
) -> list[str]:
    picture = draw(Snapshot(processes=processes, now=NOW), state or ViewState(), *size)
    return [line.plain.rstrip() for line in picture.lines]


def row(lines: list[str], start: str) -> str:
    return next(line for line in lines if line.lstrip().startswith(start))


# One process.


def test_one_process_is_shown_with_all_its_figures() -> None:
    text = " ".join(text_of(seen()).split())

    for words in (
        "pid 4242   status running   up 12m05s   command run   backend anthropic",
        "42% $2.10 of $5.00",
        "soft limit $4.00   used up at this rate in 47m51s (10:00:51 UTC)",
        "in flight 3   tools running 1   runs 2   requests/s 2.8   burn $3.64/h",
        "error rate 2%   retries 4 (waited 6.50s)   fallbacks 1",
        "tokens in 222.0k   out 28.8k   cache read 624.0k   written 5m 37.2k",
        "written 1h 1440   saved $0.228",
        "claude-sonnet-5",
        "rate_limited",
        "execute_tool bash",
    ):
        assert " ".join(words.split()) in text


def test_windows_models_tools_caches_and_sessions_have_their_rows() -> None:
    lines = text_of(seen(), width=125).split("\n")

    assert row(lines, "5m").split()[1:6] == ["40", "0", "812ms", "2.41s", "3.90s"]
    assert row(lines, "claude-haiku-4-5").split()[1:9] == [
        "40", "8", "0", "812ms", "2.41s", "3.90s", "320ms", "910ms"
    ]  # fmt: skip
    assert row(lines, "bash").split() == ["bash", "64", "3", "5%", "35ms", "240ms", "0"]
    assert row(lines, "lru").split() == ["lru", "31", "89", "26%", "$0.190"]
    assert row(lines, "tides-2026").split()[:5] == ["tides-2026", "active", "7", "$0.310", "36%"]


def test_the_course_of_the_last_minute_is_drawn() -> None:
    text = text_of(seen())

    assert "requests/s  " in text
    assert "max 6" in text
    assert "max 2.34s" in text


@pytest.mark.parametrize("history", [[], files.live()["history"][:1]])
def test_a_course_needs_two_points(history: list[Any]) -> None:
    assert "max" not in text_of(seen(history=history))


def test_what_never_happened_has_no_course() -> None:
    calm = [{"at": None, "requests": 0, "errors": 0, "cost_usd": 0.0, "p95_ms": None}] * 5

    assert "max" not in text_of(seen(history=calm))


def test_a_process_that_died_says_when_it_was_last_seen_and_does_nothing_now() -> None:
    text = text_of(seen(status="died", written_at=files.time_text(NOW - 90)))

    assert "status died   last seen 1m30s ago   ran for 12m05s" in text
    assert "in flight" not in text
    assert "burn" not in text


def test_a_file_that_cannot_be_used_is_said_beside_what_was_there_before() -> None:
    before = seen(problem="has written something that cannot be read (yet)")
    never = replace(before, live=None)

    assert "It has written something that cannot be read (yet); this is what" in text_of(before)
    assert text_of(never).split("\n") == [
        "pid 4242   status running",
        "It has written something that cannot be read (yet).",
    ]


def test_one_of_several_runtimes_of_a_process_is_numbered() -> None:
    process = replace(seen(), name=RunName(4242, "abc", 2))

    assert "pid 4242   runtime 2   status" in text_of(process)
    assert "runtime" not in text_of(seen())


def test_alarms_stand_at_the_top_the_last_first_and_four_at_most() -> None:
    alarms = [{**files.loop_alarm(NOW + at), "text": f"alarm {at}"} for at in range(6)]
    lines = text_of(seen(alarms=alarms)).split("\n")

    first = lines.index("ALARMS (6)")
    assert "09:12:53 loop alarm 5  tides-2026" in lines[first + 1]
    assert "alarm 2" in lines[first + 4]
    assert "alarm 1" not in "\n".join(lines)
    assert "ALARMS" not in text_of(seen())


def test_a_budget_that_is_used_up_says_so() -> None:
    text = text_of(seen(budget=files.budget(1.02)))

    assert "102% $5.10 of $5.00, USED UP" in text
    assert "soft limit $4.00 passed" in text


def test_a_budget_without_a_limit_or_a_forecast_says_what_is_known() -> None:
    odd = {"spent_usd": 0.5, "held_usd": 0.0}

    text = text_of(seen(budget=odd))

    assert "budget      $0.500 of no limit" in text
    assert "soft limit" not in text
    assert "used up" not in text
    assert "budget" not in text_of(seen(budget=None))


@pytest.mark.parametrize(
    ("share", "style"),
    [(None, "green"), (0.69, "green"), (0.7, "yellow"), (0.85, "red"), (0.95, "bold red")],
)
def test_a_budget_is_coloured_by_how_much_is_used(share: float | None, style: str) -> None:
    assert budget_style(share) == style


def test_what_was_lost_is_said_only_where_something_was() -> None:
    assert "lost events 3   lost writes 1" in text_of(seen(lost={"events": 3, "writes": 1}))
    assert "lost" not in text_of(seen())


def test_a_wide_terminal_has_tables_side_by_side() -> None:
    wide = text_of(seen(), width=130).split("\n")

    assert row(wide, "MODELS").split() == ["MODELS", "ERRORS"]
    assert row(text_of(seen(), width=129).split("\n"), "MODELS").strip() == "MODELS"


@pytest.mark.parametrize(
    ("sort", "first"), [("calls", "many"), ("errors", "bad"), ("p95", "slow"), ("cost", "dear")]
)
def test_models_are_sorted_by_what_was_chosen(sort: str, first: str) -> None:
    models = [
        files.model("slow", 1, p95_ms=99_000.0, errors=0),
        files.model("many", 900, errors=0, cost_usd=0.0),
        files.model("bad", 2, errors=50),
        files.model("dear", 3, cost_usd=80.0, errors=None),
    ]
    lines = text_of(seen(models=models), sort=sort).split("\n")

    assert lines[lines.index("MODELS") + 2].split()[0] == first
    assert sort in PART_SORTS


def test_errors_and_spans_are_sorted_by_time_the_last_first() -> None:
    spans = [{"name": f"span{at}", "started_at": files.time_text(NOW + at)} for at in (1, 3, 2)]
    lines = text_of(seen(spans=[*spans, {"name": "never"}])).split("\n")

    first = lines.index("LAST SPANS") + 2
    assert [line.split()[1] for line in lines[first : first + 4]] == [
        "span3", "span2", "span1", "never"
    ]  # fmt: skip


def test_of_many_rows_the_first_twelve_are_shown_and_counted() -> None:
    text = text_of(seen(tools=[files.tool(f"tool{at}", at) for at in range(40)]))

    assert "TOOLS (12 of 40)" in text
    assert "tool28 " in text
    assert "tool27 " not in text


def test_a_filter_keeps_the_rows_that_hold_it_in_any_case() -> None:
    text = text_of(seen(), wanted="BASH")

    assert "execute_tool bash" in text
    assert "read_file" not in text
    assert "MODELS" not in text
    assert "Nothing in here holds that text." in text_of(seen(), wanted="zzz")


# The list.


def test_the_list_has_a_row_for_each_process_and_the_totals() -> None:
    lines = shown(seen(1), seen(2, status="died"), seen(3, alarms=[files.loop_alarm()]))

    assert "1 running" not in lines[0]
    assert lines[0] == "sdk_workflow monitor  09:13:00 UTC  2 running, 1 not"
    assert lines[1].startswith("requests 360   in flight 6   errors 6   tokens 752.4k")
    assert "alarms 1" in lines[2]
    assert row(lines, "3").split()[:4] == ["3", "running", "1", "12m05s"]
    assert row(lines, "2").split()[:5] == ["2", "died", "12m05s", "120", "0"]


def test_running_ones_come_first_and_among_them_the_latest() -> None:
    processes = [seen(1, uptime=10), seen(2, status="ended", uptime=1), seen(3, uptime=900)]

    rows = sorted_rows((row_of(process, NOW) for process in processes), "state")

    assert [found.process.name.pid for found in rows] == [1, 3, 2]


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_takes_processes_of_which_nothing_is_known(sort: str) -> None:
    rows = [row_of(seen(1), NOW), row_of(replace(seen(2), live=None, problem="is new"), NOW)]

    assert [found.process.name.pid for found in sorted_rows(rows, sort)] == [1, 2]


@pytest.mark.parametrize(
    ("sort", "first"),
    [("cost", 2), ("burn", 3), ("requests", 2), ("errors", 2), ("p95", 4), ("pid", 1)],
)
def test_the_greatest_is_first(sort: str, first: int) -> None:
    slow = files.live()["windows"]
    slow = {**slow, "5m": files.window(1, p95_ms=50_000.0)}
    processes = [
        seen(1),
        seen(2, requests=5000),
        seen(3, burn={"usd_per_hour": 100.0}),
        seen(4, windows=slow),
    ]

    rows = sorted_rows((row_of(process, NOW) for process in processes), sort)

    assert rows[0].process.name.pid == first


@pytest.mark.parametrize("wanted", ["4243", "DIED", "agents/tides"])
def test_a_filter_looks_at_pid_status_command_and_folder(wanted: str) -> None:
    other = seen(1, process={"command": "x", "cwd": "/"})
    rows = [row_of(process, NOW) for process in (other, seen(4243, status="died"))]

    assert [found.process.name.pid for found in sorted_rows(rows, "pid", wanted)] == [4243]


def test_a_process_without_a_document_has_hyphens_and_its_problem() -> None:
    lines = shown(replace(seen(7), live=None, problem="is new"), seen(8))

    assert row(lines, "7").split() == ["7", "running", *"---------", "is", "new"]


def test_the_p95_of_the_whole_time_stands_in_for_that_of_five_minutes() -> None:
    windows = {**files.live()["windows"], "5m": files.window(0, p95_ms=None)}

    assert row_of(seen(windows=windows), NOW).p95_ms == 2410.0


def test_a_start_that_is_not_known_leaves_what_the_process_said_of_its_age() -> None:
    process = {**files.live()["process"], "started_at": None}

    assert row_of(seen(process=process, uptime=55), NOW).uptime_seconds == 55


def test_totals_of_nothing_are_zero() -> None:
    assert set(totals_of([])) == {0}


def test_a_low_terminal_shows_the_list_and_not_its_totals() -> None:
    rows = [row_of(seen(pid), NOW) for pid in range(1, 9)]

    lines = [line.plain for line in list_lines(rows, rows[7].process.name, 40, 4)]

    assert len(lines) == 4
    assert "PID" in lines[0]
    assert lines[-1].split()[0] == "8"


def test_the_selected_row_is_reversed_over_the_whole_width() -> None:
    rows = [row_of(seen(pid), NOW) for pid in (1, 2)]

    lines = list_lines(rows, rows[1].process.name, 90, 20)

    assert [str(span.style) for span in lines[-1].spans][-1] == "reverse"
    assert lines[-1].cell_len == 90
    assert "reverse" not in [str(span.style) for span in lines[-2].spans]


# The frame around them.


@pytest.mark.parametrize("size", [(80, 24), (200, 50), (20, 6), (1, 1), (3, 2), (130, 3), (5, 0)])
@pytest.mark.parametrize(
    "state", [ViewState(), ViewState(opened=RunName(1, "abc")), ViewState(shows_help=True)]
)
def test_a_picture_fits_the_terminal_exactly(size: tuple[int, int], state: ViewState) -> None:
    processes = [seen(pid) for pid in range(1, 60)]

    picture = draw(Snapshot(processes=processes, now=NOW), state, *size)

    assert len(picture.lines) == size[1]
    assert all(line.cell_len <= size[0] for line in picture.lines)


def test_nothing_yet_says_how_to_begin() -> None:
    assert NOTHING_YET in "\n".join(shown(size=(120, 10)))
    assert "No process holds 'zzz'." in "\n".join(shown(seen(), state=ViewState(wanted="zzz")))


def test_the_footer_names_the_keys_and_the_order() -> None:
    opened = ViewState(opened=RunName(4242, "abc"))

    assert shown(seen())[-1] == (
        "? help  q quit  s sort: state  / filter  p pause  ↑↓ select  enter open"
    )
    assert "↓  ? help  q quit  s sort: calls" in shown(seen(), state=opened)[-1]
    assert shown(seen(), state=ViewState(wanted="x", is_typing=True))[-1] == "/x_"
    assert shown(seen(), state=ViewState(wanted="run"))[-1].startswith("/run  ? help")


def test_the_title_says_what_is_paused_and_what_was_left_out() -> None:
    snapshot = Snapshot(processes=(seen(),), now=NOW, left_out=3)

    title = draw(snapshot, ViewState(is_paused=True), 100, 5).lines[0].plain

    assert title.startswith("PAUSED sdk_workflow monitor")
    assert title.endswith("1 running, 0 not, 3 older left out")


def test_scrolling_moves_the_picture_and_stops_at_its_end() -> None:
    opened = ViewState(opened=RunName(4242, "abc"))

    top = shown(seen(), state=opened)
    moved = shown(seen(), state=replace(opened, scroll=3))
    end = shown(seen(), state=replace(opened, scroll=10_000))

    assert moved[1:20] == top[4:23]
    assert "invoke_agent" in end[-2]
    assert "↓  " not in end[-1]


def test_help_explains_every_key() -> None:
    text = "\n".join(shown(state=ViewState(shows_help=True)))

    assert all(f"\n{key} " in text for key in "qps/?")
    assert "enter   open" in text


@settings(deadline=None)
@given(
    document=damaged() | anything,
    size=st.tuples(st.integers(1, 220), st.integers(1, 60)),
    state=st.builds(
        ViewState,
        opened=st.sampled_from([None, RunName(1, "abc")]),
        sort=st.sampled_from(sorted(SORTS)),
        part_sort=st.sampled_from(PART_SORTS),
        wanted=st.sampled_from(["", "a", "\u00df"]),
        scroll=st.integers(0, 100),
    ),
    status=st.sampled_from(["running", "ended", "died"]),
)
def test_no_document_makes_the_picture_fail_or_drive_the_terminal(
    document: object, size: tuple[int, int], state: ViewState, status: Any
) -> None:
    name = RunName(1, "abc")
    process = SeenProcess(name=name, folder=Path(), status=status, live=live_document(document))

    picture = draw(Snapshot(processes=[process, seen(2)], now=NOW), state, *size)

    assert len(picture.lines) == size[1]
    assert all(line.plain.isprintable() for line in picture.lines)
    assert all(line.cell_len <= size[0] for line in picture.lines)


# Keys.

NAMES = [RunName(pid, "abc") for pid in (1, 2, 3)]


def pressed(*keys: str, state: ViewState | None = None) -> ViewState:
    state = state or ViewState()
    for key in keys:
        state = press(state, key, NAMES)
    return state


@pytest.mark.parametrize(
    ("keys", "pid"),
    [
        (["down"], 2),
        (["j", "j"], 3),
        (["down", "up"], 1),
        (["up"], 1),
        (["page_down"], 3),
        (["end", "k"], 2),
        (["end", "home"], 1),
    ],
)
def test_keys_move_the_selection_and_stop_at_the_ends(keys: list[str], pid: int) -> None:
    assert pressed(*keys).selected == RunName(pid, "abc")


def test_enter_opens_and_esc_goes_back_to_the_same_row() -> None:
    opened = pressed("down", "enter")

    assert opened.opened == NAMES[1]
    assert pressed("enter", state=opened) == opened
    back = pressed("esc", state=opened)
    assert (back.opened, back.selected) == (None, NAMES[1])
    assert pressed("enter").opened == NAMES[0]


def test_nothing_can_be_opened_or_selected_where_there_is_nothing() -> None:
    assert press(ViewState(), "enter", []) == press(ViewState(), "down", []) == ViewState()


def test_in_one_process_the_same_keys_scroll() -> None:
    opened = ViewState(opened=NAMES[0])

    assert pressed("down", "page_down", "up", state=opened).scroll == 10
    assert pressed("up", state=opened).scroll == 0


def test_s_goes_through_every_order_of_what_is_shown() -> None:
    assert [pressed(*"s" * times).sort for times in range(len(SORTS) + 1)] == [*SORTS, "state"]
    opened = ViewState(opened=NAMES[0])
    assert pressed("s", state=opened).part_sort == "errors"
    assert pressed("s", state=opened).sort == "state"


def test_a_filter_is_typed_kept_and_removed() -> None:
    typed = pressed("/", "q", "s", "x", "backspace", "up")

    assert (typed.wanted, typed.is_typing, typed.is_done) == ("qs", True, False)
    kept = pressed("enter", state=typed)
    assert (kept.wanted, kept.is_typing, kept.opened) == ("qs", False, None)
    assert pressed("esc", state=kept).wanted == ""
    assert pressed("esc", state=typed) == ViewState()
    assert len(pressed("/", *"x" * 99).wanted) == 40


def test_help_is_left_with_any_key_and_quit_from_it_too() -> None:
    helped = pressed("?")

    assert helped.shows_help
    assert pressed("s", state=helped) == ViewState()
    assert pressed("q", state=helped).is_done


def test_p_holds_the_picture_and_goes_on() -> None:
    assert pressed("p").is_paused
    assert not pressed("p", "p").is_paused
    assert pressed("q").is_done
    assert pressed("x") == ViewState()


def test_the_only_process_or_the_only_one_that_runs_is_opened_first() -> None:
    ended = [seen(1, status="ended"), seen(2, status="died")]

    assert first_state([seen(9)]).opened == RunName(9, "abc")
    assert first_state([*ended, seen(9)]).opened == RunName(9, "abc")
    assert first_state(ended[:1]).opened == RunName(1, "abc")
    assert first_state([seen(8), seen(9)]).opened is None
    assert first_state(ended).opened is None
    assert first_state([]).opened is None
