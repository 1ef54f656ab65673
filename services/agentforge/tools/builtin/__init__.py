"""The tools that come along."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentforge.kit.errors import InvalidInput
from agentforge.tools.builtin.calculator import Calculator
from agentforge.tools.builtin.lookup import Lookup
from agentforge.tools.builtin.search import Search, provided
from agentforge.tools.limits import Limits
from agentforge.tools.tool import Tool


@dataclass(frozen=True)
class Sources:
    """Where `lookup` and `search` look: in invented facts and pages, if nothing else is named."""

    documents: Path | None = None  # of lookup, JSONL
    pages: Path | None = None  # of search, JSONL
    provider: str = ""  # of search: module:attribute of a SearchProvider, instead of pages
    limits: Limits = field(default_factory=Limits)


def builtin_tools(names: Sequence[str], sources: Sources | None = None) -> list[Tool]:
    return [_maker(name)(sources or Sources()) for name in names]


def _maker(name: str) -> Callable[[Sources], Tool]:
    if name not in BUILTIN:
        near = difflib.get_close_matches(name, BUILTIN, n=1)
        step = f"Did you mean {near[0]}?" if near else f"Take some of {', '.join(BUILTIN)}."
        raise InvalidInput(f"there is no tool {name!r}", reason="UNKNOWN_TOOL", field="tools", next_step=step)
    return BUILTIN[name]


def _search(sources: Sources) -> Tool:
    if sources.provider and sources.pages:
        message = "search has a provider and pages of its own"
        raise InvalidInput(message, reason="CONFLICTING_OPTIONS", field="provider", next_step="Name one of them.")
    return provided(sources.provider, sources.limits) if sources.provider else Search.local(sources.pages)


def _python(_: Sources) -> Tool:
    from agentforge.tools.sandbox.python_tool import PythonTool  # the sandbox is for those who use it

    return PythonTool()


BUILTIN: Mapping[str, Callable[[Sources], Tool]] = {
    "calculator": lambda _: Calculator(),
    "lookup": lambda sources: Lookup(sources.documents),
    "python": _python,
    "search": _search,
}
