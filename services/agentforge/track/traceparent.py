"""W3C trace context: whose trace a run belongs to. Kept in the pipeline's journal, never in its request: it is no
part of what was asked, so it changes no digest and makes no run another one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VARIABLE = "AGENTFORGE_OTEL"
SAMPLE = "trace"
"""Name of the journal's sample that holds it."""

_FORM = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII
)


@dataclass(frozen=True)
class Trace:
    """`parent` is 0 where nobody called; `sampled` is the caller's wish that spans be kept."""

    trace_id: int
    parent: int = 0
    sampled: bool = True


def enabled(environment: Mapping[str, str] = os.environ) -> bool:
    return environment.get(VARIABLE, "").strip().lower() in ("1", "true", "on", "yes")


def parse(header: str) -> Trace | None:
    """None for what is malformed: the standard says to go on as if there were none."""
    match = _FORM.fullmatch(header.strip()) if len(header) <= 512 else None
    if match is None or (match[4] and header.startswith("00")):
        return None
    return Trace(int(match[1], 16), int(match[2], 16), bool(int(match[3], 16) & 1))


def to_journal(header: str | None) -> list[tuple[str, dict[str, Any]]]:
    """What is to be written down of a caller's header: nothing unless tracing is on and the header is one."""
    if not header or not enabled() or parse(header) is None:
        return []
    return [("sample", {"name": SAMPLE, "data": {"traceparent": header.strip()}})]
