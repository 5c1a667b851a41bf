"""The options of `simulate` as Typer declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

HostOpt = Annotated[str, typer.Option(help="Address to listen on.")]
PortOpt = Annotated[
    int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
]
SeedOpt = Annotated[int, typer.Option(help="Makes ids, wording and chance repeatable.")]
ScriptOpt = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Scripted replies, as JSON or TOML.")
]
FaultsOpt = Annotated[
    str | None,
    typer.Option(metavar="FILE|SPEC", help="What goes wrong, such as '529@0-2; truncate@10%'."),
]
LimitsOpt = Annotated[
    str | None,
    typer.Option(metavar="FILE|SPEC", help="Rate limits, such as rpm=50,itpm=40000,otpm=8000."),
]
PhysicsOpt = Annotated[
    Literal["off", "real"],
    typer.Option(help="Whether answers take the time that a model takes."),
]
LenientOpt = Annotated[
    bool, typer.Option("--lenient/--strict", help="Whether unknown beta features are tolerated.")
]
JournalOpt = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where every request is written to at the end."),
]
