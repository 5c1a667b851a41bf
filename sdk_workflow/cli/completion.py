"""What the shell offers when a user presses Tab."""

from __future__ import annotations

__all__ = ["complete_models", "complete_suites", "complete_tools"]


def complete_models(incomplete: str) -> list[str]:
    """Return the tiers and model ids that begin with what was typed."""
    from sdk_workflow.config.models import default_catalog

    catalog = default_catalog()
    names = [*catalog.tiers(), *catalog.names()]
    return [name for name in names if name.startswith(incomplete)]


def complete_tools(incomplete: str) -> list[str]:
    """Return the lists of tools that go on from what was typed."""
    from sdk_workflow.tools.builtin import BUILTIN_TOOLS

    *given, last = incomplete.split(",")
    head = "".join(f"{name}," for name in given)
    return [head + name for name in BUILTIN_TOOLS if name.startswith(last) and name not in given]


def complete_suites(incomplete: str) -> list[str]:
    """Return the suites of the benchmark that begin with what was typed."""
    from sdk_workflow.benchmarking.suites import ALL, NAMES

    return [name for name in (*NAMES, ALL) if name.startswith(incomplete)]
