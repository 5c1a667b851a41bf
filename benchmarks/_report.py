"""What a benchmark shows, as `sdk_workflow.benchmarking` shows it; the name under which programs use it."""

from __future__ import annotations

from sdk_workflow.benchmarking.peer_report import Report, Row, parse_arguments

__all__ = ["Report", "Row", "parse_arguments"]
