"""The options of `monitor` as Typer declares them."""

from __future__ import annotations

from typing import Annotated

import typer

RealtimeOpt = Annotated[
    bool,
    typer.Option("--realtime", help="Keep watching; on a terminal that is what it does anyway."),
]
OnceOpt = Annotated[
    bool, typer.Option("--once", help="Show it once; what it does where there is no terminal.")
]
JsonOpt = Annotated[
    bool, typer.Option("--json", help="Write JSON; with --realtime a line for each change.")
]
PidOpt = Annotated[int | None, typer.Option("--pid", min=1, metavar="N", help="Only this process.")]
SinceOpt = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="What happened in the last 30m, 1h, 2d, from the events."),
]
