"""The commands of `sdk_workflow`: each parses, hands over, and turns the outcome into an exit code."""

from __future__ import annotations

import sys
from inspect import signature
from pathlib import Path  # noqa: TC003 - Typer evaluates the annotations at run time
from typing import Annotated, Any

import typer

from sdk_workflow.cli import benchmark_options as bench
from sdk_workflow.cli import monitor_options as mon
from sdk_workflow.cli import options as opt
from sdk_workflow.cli import sessions_options as ses
from sdk_workflow.cli import simulate_options as sim
from sdk_workflow.cli.console import Console
from sdk_workflow.cli.exit_codes import ExitCode
from sdk_workflow.cli.leaving import finish as _finish
from sdk_workflow.exceptions import SdkWorkflowError

__all__ = ["app", "run_app"]

app = typer.Typer(
    name="sdk_workflow",
    help="The layer between agent code and Claude. Without an API key, a built-in simulator answers.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Look at the settings.", no_args_is_help=True)
app.add_typer(config_app, name="config")
sessions_app = typer.Typer(help="Look at what was kept of earlier runs.", no_args_is_help=True)
app.add_typer(sessions_app, name="sessions")
cache_app = typer.Typer(
    help="Look at a folder of cached answers, fill it, empty it.", no_args_is_help=True
)
app.add_typer(cache_app, name="cache")


def run_app() -> None:
    """Run the command line; every way out of it has a documented exit code."""
    console = Console.of_process()
    try:
        # Named, because `python -m` would put its own name into completion scripts and usage lines.
        app(prog_name="sdk_workflow")
    except OSError as error:  # Typer's own output, such as a help page, met a full disk
        console.problem(f"Error: The output could not be written: {error.strerror or error}.")
        sys.exit(ExitCode.RUN_FAILED)


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from sdk_workflow._internal.version import __version__

        console = Console.of_process()
        console.result(f"sdk_workflow {__version__}")
        _finish(console, lambda: ExitCode.OK)


@app.command()
def run(
    prompt: opt.PromptArg = None,
    model: opt.ModelOpt = None,
    system: opt.SystemOpt = None,
    max_tokens: opt.MaxTokensOpt = None,
    backend: opt.BackendOpt = None,
    tools: opt.ToolsOpt = None,
    permissions: opt.PermissionsOpt = None,
    allow: opt.AllowOpt = None,
    cwd: opt.CwdOpt = None,
    session: opt.SessionOpt = None,
    resume: opt.ResumeOpt = None,
    max_turns: opt.MaxTurnsOpt = None,
    timeout_seconds: opt.TimeoutOpt = None,
    budget: opt.BudgetOpt = None,
    input_file: opt.InputOpt = None,
    concurrency: opt.ConcurrencyOpt = None,
    cache_mode: opt.CacheModeOpt = None,
    no_cache: opt.NoCacheOpt = False,
    cache_dir: opt.CacheDirOpt = None,
    output: opt.OutputOpt = "text",
    stream: opt.StreamOpt = None,
    trace_output: opt.TraceOutputOpt = None,
    trace_format: opt.TraceFormatOpt = None,
    profile: opt.ProfileOpt = False,
    profile_output: opt.ProfileOutputOpt = None,
    is_quiet: opt.QuietOpt = False,
    is_verbose: opt.VerboseOpt = False,
) -> None:
    """Let the model work on a prompt in a folder, and show its answer."""
    given = dict(locals())
    console = Console.of_process(is_quiet=is_quiet)
    _finish(console, lambda: _run(given, console))


def _run(given: dict[str, Any], console: Console) -> ExitCode:
    from sdk_workflow.cli.arguments import ExecutionArgsBuilder
    from sdk_workflow.cli.prompt_input import read_prompt
    from sdk_workflow.cli.run_command import refuse
    from sdk_workflow.cli.run_command import run as run_command

    builder = ExecutionArgsBuilder()
    try:
        # A run that is resumed has its prompt: a silent pipe would only hold it up.
        if not given["input_file"] and (given["prompt"] or given["resume"] is None):
            given["prompt"] = read_prompt(given["prompt"], console.notice)
        builder.add_model_arguments(**_picked(given, _MODEL_OPTIONS))
        builder.add_session_arguments(**_picked(given, ("session", "resume")))
        builder.add_execution_arguments(**_picked(given, _EXECUTION_OPTIONS))
        builder.add_permission_arguments(**_picked(given, ("permissions", "allow")))
        builder.add_cache_arguments(**_picked(given, _CACHE_OPTIONS))
        builder.add_config_arguments(**_picked(given, _CONFIG_OPTIONS))
        args = builder.build()
    except SdkWorkflowError as error:
        return refuse(error, given["output"], console)
    return run_command(args, console)


_MODEL_OPTIONS = ("model", "system", "max_tokens", "backend")
_EXECUTION_OPTIONS = (
    "prompt",
    "input_file",
    "tools",
    "cwd",
    "max_turns",
    "timeout_seconds",
    "budget",
    "concurrency",
)
_CACHE_OPTIONS = ("cache_mode", "no_cache", "cache_dir")
_CONFIG_OPTIONS = (
    "output",
    "stream",
    "trace_output",
    "trace_format",
    "profile",
    "profile_output",
    "is_quiet",
    "is_verbose",
)


def _picked(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: given[name] for name in names}


@app.command()
def simulate(
    host: sim.HostOpt = "127.0.0.1",
    port: sim.PortOpt = 8787,
    seed: sim.SeedOpt = 0,
    script: sim.ScriptOpt = None,
    faults: sim.FaultsOpt = None,
    limits: sim.LimitsOpt = None,
    physics: sim.PhysicsOpt = "off",
    lenient: sim.LenientOpt = False,
    journal: sim.JournalOpt = None,
) -> None:
    """Serve the simulator over HTTP, for any client of the Messages API."""
    given = dict(locals())
    from sdk_workflow.cli.simulate_command import SimulateArgs
    from sdk_workflow.cli.simulate_command import simulate as simulate_command

    console = Console.of_process()
    args = SimulateArgs(is_lenient=given.pop("lenient"), **given)
    _finish(console, lambda: simulate_command(console, args))


@app.command()
def benchmark(
    operations: bench.OperationsOpt = 1000,
    suite: bench.SuiteOpt = "all",
    output: bench.OutputOpt = "text",
    report: bench.ReportOpt = None,
    compare: bench.CompareOpt = None,
) -> None:
    """Measure what the library itself costs on this machine, beside its targets.

    It needs no key and no network, and keeps its files in a temporary folder. A missed target is no
    error: figures depend on the machine.
    """
    given = dict(locals())
    from sdk_workflow.cli.benchmark_command import BenchmarkArgs
    from sdk_workflow.cli.benchmark_command import benchmark as benchmark_command

    console = Console.of_process()
    _finish(console, lambda: benchmark_command(console, BenchmarkArgs(**given)))


@config_app.command("show")
def config_show(
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Show every setting; secrets are masked."""
    from sdk_workflow.cli.config_command import show_config

    console = Console.of_process()
    _finish(console, lambda: show_config(console, with_origin=origin, as_json=as_json))


@sessions_app.command("list")
def sessions_list(
    status: ses.StatusOpt = None,
    tags: ses.TagOpt = None,
    model: ses.ModelOpt = None,
    text: ses.TextOpt = None,
    since: ses.SinceOpt = None,
    until: ses.UntilOpt = None,
    min_cost: ses.MinCostOpt = None,
    max_cost: ses.MaxCostOpt = None,
    archived: ses.ArchivedOpt = None,
    sort: ses.SortOpt = "-updated",
    limit: ses.LimitOpt = 50,
    cursor: ses.CursorOpt = None,
    as_json: ses.JsonOpt = False,
) -> None:
    """List the sessions, the last used first."""
    given = dict(locals())
    from sdk_workflow.cli.sessions_command import list_sessions

    filters = {name: value or None for name, value in _picked(given, _TEXT_FILTERS).items()}
    filters |= {"min_cost_usd": min_cost, "max_cost_usd": max_cost, "archived": archived}
    console = Console.of_process()
    _finish(console, lambda: list_sessions(console, filters, as_json=as_json))


_TEXT_FILTERS = ("status", "tags", "model", "text", "since", "until", "sort", "limit", "cursor")


@sessions_app.command("show")
def sessions_show(session_id: ses.SessionArg, as_json: ses.JsonOpt = False) -> None:
    """Show all that is known of a session."""
    from sdk_workflow.cli.sessions_command import show_session

    console = Console.of_process()
    _finish(console, lambda: show_session(console, session_id, as_json=as_json))


@sessions_app.command("resume")
def sessions_resume(
    session_id: ses.SessionArg,
    prompt: ses.PromptArg = None,
    backend: opt.BackendOpt = None,
    budget: opt.BudgetOpt = None,
    output: opt.OutputOpt = "text",
    is_quiet: opt.QuietOpt = False,
    is_verbose: opt.VerboseOpt = False,
) -> None:
    """Go on with a session: what `run --resume ID` does, which takes all options of `run`."""
    given = {**dict(locals()), "resume": session_id}
    from sdk_workflow.cli.sessions_command import check_resumable

    def resume() -> ExitCode:
        check_resumable(console, session_id)
        defaults = {name: option.default for name, option in signature(run).parameters.items()}
        return _run({**defaults, **given}, console)

    console = Console.of_process(is_quiet=is_quiet)
    _finish(console, resume)


@sessions_app.command("tag")
def sessions_tag(
    session_id: ses.SessionArg, tags: ses.TagsArg, remove: ses.RemoveOpt = False
) -> None:
    """Add tags to a session, or remove them."""
    from sdk_workflow.cli.sessions_command import tag_session

    console = Console.of_process()
    _finish(console, lambda: tag_session(console, session_id, tags, remove=remove))


@sessions_app.command("archive")
def sessions_archive(session_id: ses.SessionArg, undo: ses.UndoOpt = False) -> None:
    """Put a session away: its file moves into the archive, and it stays in every search."""
    from sdk_workflow.cli.sessions_command import archive_session

    console = Console.of_process()
    _finish(console, lambda: archive_session(console, session_id, undo=undo))


@sessions_app.command("export")
def sessions_export(file: ses.FileArg = None, form: ses.ExportFormatOpt = "json") -> None:
    """Write what is known of all sessions, for other programs."""
    from sdk_workflow.cli.sessions_command import export_sessions

    console = Console.of_process()
    _finish(console, lambda: export_sessions(console, file, form=form))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Check what a run needs: Python, packages, key, sandbox, state folder, disk."""
    from sdk_workflow.cli.doctor_command import doctor as doctor_command

    console = Console.of_process()
    _finish(console, lambda: doctor_command(console, as_json=as_json))


@app.command()
def monitor(
    realtime: mon.RealtimeOpt = False,
    once: mon.OnceOpt = False,
    as_json: mon.JsonOpt = False,
    pid: mon.PidOpt = None,
    since: mon.SinceOpt = None,
) -> None:
    """Watch what the processes of this state folder do, spend and wait for."""
    given = dict(locals())
    from sdk_workflow.cli.monitor_command import monitor as monitor_command

    console = Console.of_process()
    _finish(console, lambda: monitor_command(console, **given))


@cache_app.command("stats")
def cache_stats(
    cache_dir: opt.CacheDirOpt = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Show what the folder holds, and what it saved so far."""
    from sdk_workflow.cli.cache_command import show_stats

    console = Console.of_process()
    _finish(console, lambda: show_stats(console, {"cache_dir": cache_dir}, as_json=as_json))


@cache_app.command("clear")
def cache_clear(cache_dir: opt.CacheDirOpt = None) -> None:
    """Delete every answer in the folder."""
    from sdk_workflow.cli.cache_command import clear

    console = Console.of_process()
    _finish(console, lambda: clear(console, {"cache_dir": cache_dir}))


@cache_app.command("warm")
def cache_warm(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help='JSON lines, {"prompt": "..."} or "...".')
    ],
    cache_dir: opt.CacheDirOpt = None,
    cache_mode: opt.CacheModeOpt = None,
    model: opt.ModelOpt = None,
    system: opt.SystemOpt = None,
    max_tokens: opt.MaxTokensOpt = None,
    backend: opt.BackendOpt = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Prompts at once.")] = None,
    max_cost_usd: Annotated[
        float | None, typer.Option("--max-cost", min=0, metavar="USD", help="Stop asking then.")
    ] = None,
) -> None:
    """Ask the model about prompts that will come, so that the cache answers them.

    The answers serve runs with the same model, system prompt and limits, and --tools none.
    """
    flags = dict(locals())
    from sdk_workflow.cli.cache_command import warm

    path, limit = flags.pop("file"), flags.pop("max_cost_usd")
    console = Console.of_process()
    _finish(console, lambda: warm(console, flags, path, max_cost_usd=limit))


@cache_app.command("explain")
def cache_explain(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A prompt.")],
    cache_dir: opt.CacheDirOpt = None,
    cache_mode: opt.CacheModeOpt = None,
    model: opt.ModelOpt = None,
    system: opt.SystemOpt = None,
    max_tokens: opt.MaxTokensOpt = None,
    backend: opt.BackendOpt = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Show whether a prompt would be answered from the cache, and why."""
    flags = {name: value for name, value in locals().items() if name not in {"text", "as_json"}}
    from sdk_workflow.cli.cache_command import explain

    console = Console.of_process()
    _finish(console, lambda: explain(console, flags, text, as_json=as_json))
