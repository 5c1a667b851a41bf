"""The arguments of `run`, checked against one another and frozen."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from sdk_workflow.cli.options import (
        BackendName,
        CacheMode,
        OutputFormat,
        PermissionMode,
        TraceFormat,
    )

__all__ = ["ExecutionArgs", "ExecutionArgsBuilder"]

# What a kept session goes on with unless the command line says otherwise; the folder is one more.
_REMEMBERED = ("model", "system", "tools")

DEFAULT_PROFILE_OUTPUT = Path("sdk_workflow-profile.html")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionArgs:
    """What one `run` was asked to do.

    Attributes:
        prompt: The prompt; None when `input_file` holds the prompts, or a run is resumed.
        input_file: A file of JSON lines, for a batch.
        cwd: The folder that the tools are confined to.
        session_id: The session to begin or to go on with; None for a new one.
        resume_id: The session to resume; None for none.
        budget_usd: What the session, or the whole batch, may cost; None for what it had before.
        session_options: What was asked for and goes before what a kept session remembers.
        flags: The settings that were given on the command line, by their names.
        output: Form of the result.
        stream: Whether text is shown as it arrives.
        trace_output: Where the trace goes; None for nowhere.
        trace_format: Form of the trace.
        profile_output: Where the flamegraph goes; None for no profile.
        is_quiet: Whether notices are left out.
        is_verbose: Whether state changes and full tool calls are shown.
    """

    prompt: str | None
    input_file: Path | None
    cwd: Path
    session_id: str | None
    resume_id: str | None
    budget_usd: float | None
    session_options: Mapping[str, Any]
    flags: Mapping[str, Any]
    output: OutputFormat
    stream: bool
    trace_output: Path | None
    trace_format: TraceFormat
    profile_output: Path | None
    is_quiet: bool
    is_verbose: bool


@dataclass(slots=True)
class ExecutionArgsBuilder:
    """Collects and checks the arguments of `run`, group by group.

    Example:
        >>> builder = ExecutionArgsBuilder().add_model_arguments(model="haiku")
        >>> builder.add_execution_arguments(prompt="Hi").build().flags["model"]
        'haiku'
    """

    _flags: dict[str, Any] = field(default_factory=dict)
    _fields: dict[str, Any] = field(default_factory=dict)

    def add_model_arguments(
        self,
        *,
        model: str | None = None,
        system: str | None = None,
        max_tokens: int | None = None,
        backend: BackendName | None = None,
    ) -> Self:
        """Take what concerns the model."""
        self._add_flags(model=model, system=system, max_tokens=max_tokens, backend=backend)
        return self

    def add_session_arguments(
        self, *, session: str | None = None, resume: str | None = None
    ) -> Self:
        """Take which session the run belongs to.

        Raises:
            UsageError: If two are named.
        """
        if session is not None and resume is not None:
            raise UsageError(
                "--session and --resume cannot be given together.",
                hint="--resume goes on with a run that was cut off; --session sends a new prompt.",
            )
        self._fields.update(session_id=session, resume_id=resume)
        return self

    def add_execution_arguments(
        self,
        *,
        prompt: str | None = None,
        input_file: Path | None = None,
        tools: str | None = None,
        cwd: Path | None = None,
        max_turns: int | None = None,
        timeout_seconds: float | None = None,
        budget: float | None = None,
        concurrency: int | None = None,
    ) -> Self:
        """Take what is to be done, and how far it may go.

        Raises:
            UsageError: If two things are to be done at once, or a limit is none.
        """
        if prompt is not None and input_file is not None:
            raise UsageError(
                "PROMPT and --input cannot be given together.",
                hint="Put the prompt into the file, or leave --input out.",
            )
        if prompt is not None and not prompt.strip():
            raise UsageError(
                "The prompt is empty.", code="prompt_missing", hint="Say what you want to know."
            )
        if timeout_seconds is not None and not 0 < timeout_seconds < math.inf:
            raise UsageError(
                f"--timeout is {timeout_seconds!r}.", hint="Give a number of seconds above 0."
            )
        if budget is not None and not 0 <= budget < math.inf:
            raise UsageError(f"--budget is {budget!r}.", hint="Give a number of dollars from 0 on.")
        if concurrency is not None and input_file is None:
            raise UsageError(
                "--concurrency goes with --input.", hint="Leave it out for one prompt."
            )
        self._add_flags(
            tools=None if tools is None else _names(tools),
            max_turns=max_turns,
            timeout_seconds=timeout_seconds,
            concurrency=concurrency,
        )
        self._fields.update(prompt=prompt, input_file=input_file, cwd=cwd, budget_usd=budget)
        return self

    def add_permission_arguments(
        self, *, permissions: PermissionMode | None = None, allow: Sequence[str] | None = None
    ) -> Self:
        """Take which tool calls may run."""
        self._add_flags(permissions=permissions, allow=tuple(allow) if allow else None)
        return self

    def add_cache_arguments(
        self,
        *,
        cache_mode: CacheMode | None = None,
        no_cache: bool = False,
        cache_dir: Path | None = None,
    ) -> Self:
        """Take what may answer instead of the model.

        Raises:
            UsageError: If two wishes contradict each other.
        """
        if no_cache and cache_mode not in {None, "off"}:
            raise UsageError(
                f"--no-cache and --cache-mode {cache_mode} contradict each other.",
                hint="Choose one.",
            )
        mode = "off" if no_cache else cache_mode
        if mode == "off" and cache_dir is not None:
            raise UsageError(
                "--cache-dir goes with a cache that is on.",
                hint="Leave out --cache-dir, or the flag that switches the cache off.",
            )
        self._add_flags(cache_mode=mode, cache_dir=cache_dir)
        return self

    def add_config_arguments(
        self,
        *,
        output: OutputFormat = "text",
        stream: bool | None = None,
        trace_output: Path | None = None,
        trace_format: TraceFormat | None = None,
        profile: bool = False,
        profile_output: Path | None = None,
        is_quiet: bool = False,
        is_verbose: bool = False,
    ) -> Self:
        """Take what the user wants to see.

        Raises:
            UsageError: If two wishes contradict each other.
        """
        if is_quiet and is_verbose:
            raise UsageError("--quiet and --verbose contradict each other.", hint="Choose one.")
        if stream and output == "json":
            raise UsageError(
                "--stream and --output json contradict each other.",
                hint="Use --output jsonl to see events as they happen.",
            )
        if trace_format is not None and trace_output is None:
            raise UsageError(
                "--trace-format goes with --trace-output.", hint="Say where the trace goes."
            )
        if profile and profile_output is None:
            profile_output = DEFAULT_PROFILE_OUTPUT
        self._fields.update(
            output=output,
            stream=_stream_by_default(output) if stream is None else stream,
            trace_output=trace_output,
            trace_format=trace_format or "otlp",
            profile_output=profile_output,
            is_quiet=is_quiet,
            is_verbose=is_verbose,
        )
        return self

    def build(self) -> ExecutionArgs:
        """Return the frozen record; groups that were not added keep their defaults.

        Raises:
            UsageError: If there is nothing to do, or a batch is to run in one session.
        """
        if "output" not in self._fields:
            self.add_config_arguments()
        if "session_id" not in self._fields:
            self.add_session_arguments()
        if "prompt" not in self._fields:
            self.add_execution_arguments()
        self._check_task()
        fields = dict(self._fields)
        cwd = fields.pop("cwd")
        chosen = {name: self._flags[name] for name in _REMEMBERED if name in self._flags}
        if cwd is not None:
            chosen["working_directory"] = cwd
        return ExecutionArgs(
            flags=dict(self._flags), cwd=cwd or Path(), session_options=chosen, **fields
        )

    def _check_task(self) -> None:
        fields = self._fields
        is_batch = fields["input_file"] is not None
        if is_batch and (fields["session_id"] or fields["resume_id"]) is not None:
            raise UsageError(
                "--input goes without --session and --resume: each of its prompts is a session of "
                "its own.",
                hint="Leave one of them out.",
            )
        if fields["prompt"] is None and not is_batch and fields["resume_id"] is None:
            raise UsageError(
                "There is no prompt.",
                code="prompt_missing",
                hint='Try: sdk_workflow run "What files are here?"',
            )

    def _add_flags(self, **values: Any) -> None:
        """Keep what was given: None means that the flag was not used."""
        self._flags.update({name: value for name, value in values.items() if value is not None})


def _stream_by_default(output: OutputFormat) -> bool:
    return output == "jsonl" or (
        output == "text" and sys.stdout is not None and sys.stdout.isatty()
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    return () if names == ("none",) else names
