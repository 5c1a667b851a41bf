"""The errors that this library raises, and who is expected to act on each.

SdkWorkflowError
├── UsageError              the developer called it wrongly
├── ConfigError             the developer or operator has a setting to mend
├── StorageError            the operator: disk, permissions, damaged state
│   ├── CheckpointCorrupt
│   ├── CheckpointConflict
│   └── SessionNotFound
├── BudgetExceeded          the operator: money
├── UnpricedModel           the operator: a price is missing under a hard limit
├── LLMError                the API
│   ├── AuthenticationFailed
│   ├── RequestRejected
│   │   └── ContextOverflow
│   ├── RateLimitError
│   ├── OverloadedError
│   ├── ServiceUnavailable
│   ├── StreamInterrupted
│   └── DeadlineExceeded
└── ToolError               the model: the text goes back to it as a tool result
    ├── ToolNotFound
    ├── InvalidToolInput
    ├── ToolDenied
    ├── ToolTimeout
    └── ToolFailed

Each error says what happened and why in its message, and what to do next in `hint`.
`code` is a stable machine-readable name; `retryable` says whether the same call may succeed later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AuthenticationFailed",
    "BudgetExceeded",
    "CheckpointConflict",
    "CheckpointCorrupt",
    "ConfigError",
    "ContextOverflow",
    "DeadlineExceeded",
    "InvalidToolInput",
    "LLMError",
    "OverloadedError",
    "RateLimitError",
    "RequestRejected",
    "SdkWorkflowError",
    "ServiceUnavailable",
    "SessionNotFound",
    "StorageError",
    "StreamInterrupted",
    "ToolDenied",
    "ToolError",
    "ToolFailed",
    "ToolNotFound",
    "ToolTimeout",
    "UnpricedModel",
    "UsageError",
]


class SdkWorkflowError(Exception):
    """The root of everything that this library raises on purpose.

    Args:
        message: What happened and why.
        code: Stable name of the case; defaults to the class's own.
        retryable: Whether the same call may succeed later; defaults to the class's own.
        hint: What to do next, as a full sentence; empty when there is nothing to add.

    Example:
        >>> error = ConfigError("No API key was found.", hint="Set ANTHROPIC_API_KEY.")
        >>> error.code, error.retryable, error.hint
        ('config_error', False, 'Set ANTHROPIC_API_KEY.')
    """

    default_code: ClassVar[str] = "sdk_workflow_error"
    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retryable: bool | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.default_code if code is None else code
        self.retryable = self.default_retryable if retryable is None else retryable
        self.hint = hint


class UsageError(SdkWorkflowError):
    """The library or the command line was called in a way that cannot work."""

    default_code = "usage_error"


class ConfigError(SdkWorkflowError):
    """A setting is missing, malformed or contradicts another one."""

    default_code = "config_error"


class StorageError(SdkWorkflowError):
    """State could not be read or written."""

    default_code = "storage_error"


class CheckpointCorrupt(StorageError):
    """A session file does not hold what was written to it.

    Args:
        message: What is damaged and how that shows.
        version: The version that cannot be trusted; None where it is more than one.
        intact_versions: The versions that still load, ascending.
        code: Stable name of the case; defaults to the class's own.
        retryable: Whether the same call may succeed later.
        hint: What to do next.
    """

    default_code = "checkpoint_corrupt"

    def __init__(
        self,
        message: str,
        *,
        version: int | None = None,
        intact_versions: tuple[int, ...] = (),
        code: str | None = None,
        retryable: bool | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, code=code, retryable=retryable, hint=hint)
        self.version = version
        self.intact_versions = intact_versions


class CheckpointConflict(StorageError):
    """Somebody else has written in between: saving now would lose their version."""

    default_code = "checkpoint_conflict"


class SessionNotFound(StorageError):
    """There is no stored session of that id."""

    default_code = "session_not_found"


class BudgetExceeded(SdkWorkflowError):
    """A call was refused because it could have passed the hard limit."""

    default_code = "budget_exceeded"


class UnpricedModel(SdkWorkflowError):
    """A model without a price was called while a hard limit is set."""

    default_code = "unpriced_model"


class LLMError(SdkWorkflowError):
    """The Messages API, or the way to it, failed.

    Args:
        message: What happened and why.
        status: HTTP status of the response; None where there was none.
        request_id: The API's id of the request, to quote to its support; None where unknown.
        retry_after_seconds: How long the server asks to wait; None where it did not say.
        headers: The response's headers, with lower-case names; empty where there was none.
        code: Stable name of the case; defaults to the class's own.
        retryable: Whether the same call may succeed later; defaults to the class's own.
        hint: What to do next.
    """

    default_code = "llm_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
        retryable: bool | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, code=code, retryable=retryable, hint=hint)
        self.status = status
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        self.headers: Mapping[str, str] = headers or {}


class AuthenticationFailed(LLMError):
    """The API did not accept the credentials (401, 403)."""

    default_code = "authentication_failed"


class RequestRejected(LLMError):
    """The API found the request invalid (400, 404, 413, 422); sending it again cannot help."""

    default_code = "request_rejected"


class ContextOverflow(RequestRejected):
    """The prompt does not fit into the model's context window."""

    default_code = "context_overflow"


class RateLimitError(LLMError):
    """The API asked to slow down (429)."""

    default_code = "rate_limited"
    default_retryable = True


class OverloadedError(LLMError):
    """The API is overloaded (529, or an `overloaded_error` inside a stream)."""

    default_code = "overloaded"
    default_retryable = True


class ServiceUnavailable(LLMError):
    """The API answered with another 5xx status, or could not be reached at all."""

    default_code = "service_unavailable"
    default_retryable = True


class StreamInterrupted(LLMError):
    """A streamed reply ended before `message_stop`: what arrived is not the answer.

    Args:
        message: What happened and why.
        partial_text: The text that had arrived.
        status: HTTP status of the response; None where there was none.
        request_id: The API's id of the request; None where unknown.
        code: Stable name of the case; defaults to the class's own.
        hint: What to do next.
    """

    default_code = "stream_interrupted"
    default_retryable = True

    def __init__(
        self,
        message: str,
        *,
        partial_text: str = "",
        status: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, status=status, request_id=request_id, code=code, hint=hint)
        self.partial_text = partial_text


class DeadlineExceeded(LLMError):
    """The call or the run did not finish within its time limit."""

    default_code = "deadline_exceeded"


class ToolError(SdkWorkflowError):
    """A tool call did not succeed; the message is written for the model to read."""

    default_code = "tool_error"


class ToolNotFound(ToolError):
    """The model asked for a tool that is not registered."""

    default_code = "tool_not_found"


class InvalidToolInput(ToolError):
    """The arguments do not fit the tool's JSON schema, or a validator refused them."""

    default_code = "invalid_tool_input"


class ToolDenied(ToolError):
    """A rule, an interceptor or the sandbox refused the call."""

    default_code = "tool_denied"


class ToolTimeout(ToolError):
    """The tool did not finish within its time limit and was stopped."""

    default_code = "tool_timeout"


class ToolFailed(ToolError):
    """The tool ran and failed."""

    default_code = "tool_failed"
