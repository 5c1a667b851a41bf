"""The options of `run` as Typer declares them: names, help texts, groups, completion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sdk_workflow.cli.completion import complete_models, complete_tools

OutputFormat = Literal["text", "json", "jsonl"]
TraceFormat = Literal["otlp", "chrome"]
BackendName = Literal["auto", "anthropic", "simulator"]
PermissionMode = Literal["allow", "ask", "deny"]
CacheMode = Literal["off", "exact", "semantic", "full"]

_MODEL, _RUN, _CACHE, _REPORT = "Model", "Execution", "Caches", "Output and reports"

PromptArg = Annotated[
    str | None,
    typer.Argument(
        metavar="PROMPT",
        help="What to do. '-' reads it from standard input; piped input is appended to it.",
        show_default=False,
    ),
]
ModelOpt = Annotated[
    str | None,
    typer.Option(
        help="Model id, alias, or tier: haiku, sonnet, opus, ...",
        rich_help_panel=_MODEL,
        autocompletion=complete_models,
    ),
]
SystemOpt = Annotated[str | None, typer.Option(help="System prompt.", rich_help_panel=_MODEL)]
MaxTokensOpt = Annotated[
    int | None,
    typer.Option(min=1, help="Output tokens of one model call.", rich_help_panel=_MODEL),
]
BackendOpt = Annotated[
    BackendName | None,
    typer.Option(
        help="Who answers. auto: the API if a key is set, else the simulator, said on stderr.",
        rich_help_panel=_MODEL,
    ),
]
ToolsOpt = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Tools that the model may use, separated by commas: read, write, bash, network. 'none' for "
        "none. "
        "Default: read,bash.",
        rich_help_panel=_RUN,
        autocompletion=complete_tools,
    ),
]
PermissionsOpt = Annotated[
    PermissionMode | None,
    typer.Option(
        help="What becomes of tool calls that no --allow covers. allow: they run. ask: you are asked "
        "on the terminal. deny: they are refused. Default: allow.",
        rich_help_panel=_RUN,
    ),
]
AllowOpt = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULE",
        help="Tool calls that run without being asked about: read, 'bash(git log *)'. Repeat it for "
        "more.",
        rich_help_panel=_RUN,
    ),
]
CwdOpt = Annotated[
    Path | None,
    typer.Option(
        help="The folder that the tools are confined to. Default: the current one.",
        rich_help_panel=_RUN,
    ),
]
SessionOpt = Annotated[
    str | None,
    typer.Option(
        "--session",
        metavar="ID",
        help="Begin or go on with the conversation of that name. Every run is kept; without a "
        "name its session gets a new one.",
        rich_help_panel=_RUN,
    ),
]
ResumeOpt = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="ID",
        help="Go on with the run that was cut off in that session, or with PROMPT if none was.",
        rich_help_panel=_RUN,
    ),
]
MaxTurnsOpt = Annotated[
    int | None,
    typer.Option(min=1, help="Model calls of one run.", rich_help_panel=_RUN),
]
TimeoutOpt = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", help="Time limit of one run.", rich_help_panel=_RUN
    ),
]
BudgetOpt = Annotated[
    float | None,
    typer.Option(
        "--budget",
        min=0,
        metavar="USD",
        help="What the session may cost at the most, however often it is resumed; with --input, "
        "what all prompts may cost together.",
        rich_help_panel=_RUN,
    ),
]
InputOpt = Annotated[
    Path | None,
    typer.Option(
        "--input",
        metavar="FILE",
        help='Answer many prompts: a file of JSON lines, {"prompt": "..."} or "...".',
        rich_help_panel=_RUN,
    ),
]
ConcurrencyOpt = Annotated[
    int | None,
    typer.Option(min=1, help="Prompts of --input at once.", rich_help_panel=_RUN),
]
CacheModeOpt = Annotated[
    CacheMode | None,
    typer.Option(
        help="What may answer instead of the model. off: nothing. exact: a repeated request. "
        "semantic: also one that means the same. full: both, and the API's prompt cache. "
        "Default: exact.",
        rich_help_panel=_CACHE,
    ),
]
NoCacheOpt = Annotated[
    bool, typer.Option("--no-cache", help="The same as --cache-mode off.", rich_help_panel=_CACHE)
]
CacheDirOpt = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Keep answers here for later runs; private.", rich_help_panel=_CACHE
    ),
]
OutputOpt = Annotated[
    OutputFormat, typer.Option(help="Form of the result on stdout.", rich_help_panel=_REPORT)
]
StreamOpt = Annotated[
    bool | None,
    typer.Option(
        "--stream/--no-stream",
        help="Show text as it arrives. Default: on a terminal.",
        rich_help_panel=_REPORT,
    ),
]
TraceOutputOpt = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the trace of the run.", rich_help_panel=_REPORT),
]
TraceFormatOpt = Annotated[
    TraceFormat | None,
    typer.Option(
        help="otlp (the default): OTLP/JSON for any OpenTelemetry back end. "
        "chrome: opens in Perfetto.",
        rich_help_panel=_REPORT,
    ),
]
ProfileOpt = Annotated[
    bool,
    typer.Option(
        "--profile", help="Show hot spots on stderr, write a flamegraph.", rich_help_panel=_REPORT
    ),
]
ProfileOutputOpt = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Where the flamegraph goes: .html, .svg, .collapsed or .speedscope.json. "
        "Implies --profile.",
        rich_help_panel=_REPORT,
    ),
]
QuietOpt = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Only results and errors.", rich_help_panel=_REPORT),
]
VerboseOpt = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Show state changes and full tool calls.", rich_help_panel=_REPORT
    ),
]
