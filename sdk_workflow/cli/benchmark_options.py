"""The options of `benchmark` as Typer declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sdk_workflow.cli.completion import complete_suites

OperationsOpt = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Timed samples of each operation; one that takes too long has fewer, and says so.",
    ),
]
SuiteOpt = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="managers, caches, observability, executors or all.",
        autocompletion=complete_suites,
    ),
]
OutputOpt = Annotated[
    Literal["text", "json", "markdown"], typer.Option(help="Form of the result on stdout.")
]
ReportOpt = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the validation report as Markdown; an older report is replaced, no other file.",
    ),
]
CompareOpt = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Show what changed since the run whose --output json is in this file.",
    ),
]
