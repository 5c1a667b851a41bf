"""The options of `sessions` as Typer declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

SessionArg = Annotated[
    str, typer.Argument(metavar="ID", help="The session, as `list` names it.", show_default=False)
]
TagsArg = Annotated[
    list[str], typer.Argument(metavar="TAG...", help="One tag or several.", show_default=False)
]
FileArg = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Where it goes; standard output by default."),
]
PromptArg = Annotated[
    str | None,
    typer.Argument(
        metavar="PROMPT",
        help="What to go on with, where the last run has finished.",
        show_default=False,
    ),
]
StatusOpt = Annotated[
    str | None,
    typer.Option(
        metavar="STATUS", help="active (interrupted ones too), completed, failed or cancelled."
    ),
]
TagOpt = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="Has this tag; several times: has all of them."),
]
ModelOpt = Annotated[str | None, typer.Option(metavar="ID", help="Was answered by this model.")]
TextOpt = Annotated[
    str | None, typer.Option(help="Has all of these words in its title or first message.")
]
SinceOpt = Annotated[
    str | None, typer.Option(metavar="TIME", help="Last used then or later: ISO 8601, UTC.")
]
UntilOpt = Annotated[
    str | None, typer.Option(metavar="TIME", help="Last used then or earlier: ISO 8601, UTC.")
]
MinCostOpt = Annotated[float | None, typer.Option(metavar="USD", help="Has cost that or more.")]
MaxCostOpt = Annotated[float | None, typer.Option(metavar="USD", help="Has cost that or less.")]
ArchivedOpt = Annotated[
    bool | None,
    typer.Option("--archived/--no-archived", help="Only those that were put away, or none."),
]
SortOpt = Annotated[
    str,
    typer.Option(
        metavar="ORDER",
        help="updated, started, cost, turns or tokens; '-' before it: the greatest first.",
    ),
]
LimitOpt = Annotated[int, typer.Option(min=1, max=10_000, help="Sessions of one page.")]
CursorOpt = Annotated[
    str | None, typer.Option(metavar="CURSOR", help="Go on where the page before ended.")
]
JsonOpt = Annotated[bool, typer.Option("--json", help="Write JSON.")]
RemoveOpt = Annotated[bool, typer.Option("--remove", help="Take the tags away.")]
UndoOpt = Annotated[bool, typer.Option("--undo", help="Bring it back.")]
ExportFormatOpt = Annotated[Literal["json", "csv"], typer.Option("--format", help="Its form.")]
