"""Spans made from the event log: one for a run, one for each phase, one for each attempt at a phase.

Ids are digests of what they name, so telling the same log again makes the same spans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agentforge.kit.events import Record
from agentforge.track import traceparent
from agentforge.track.source import FINAL, Source
from agentforge.track.traceparent import Trace


@dataclass(frozen=True)
class Span:
    """Times in nanoseconds since 1970. `error` is empty where it went well."""

    name: str
    span_id: int
    parent: int
    start_ns: int
    end_ns: int
    attributes: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass
class _Open:
    span: Span
    attempt: int = 0  # the last one that began
    inner: Span | None = None  # the span of that attempt, open
    begun: int = 0  # how often this one was ended and begun again, by a resume


class SpanFold:
    def __init__(self, source: Source) -> None:
        self.trace = Trace(int(source.mark[:32], 16))
        self._source = source
        self._open: dict[str, _Open] = {}
        self._rounds: dict[str, int] = {}

    def feed(self, record: Record) -> Iterator[Span]:
        """The spans that end with this record."""
        sample = record.get("sample", {})
        if not record["phase"] and sample.get("name") == traceparent.SAMPLE:
            self.trace = traceparent.parse(str(sample["data"].get("traceparent", ""))) or self.trace
        whole = self._source.whole and not record["phase"]
        if not whole and record["phase"] not in self._source.order:
            return
        key, now = ("" if whole else record["phase"]), _ns(record["time"])
        change = record.get("state_changed")
        if key not in self._open:
            if change is None:  # a word about a phase that did not begin, or after its end
                return
            self._open[key] = self._begin(key, now)
        here = self._open[key]
        if not whole:
            yield from self._attempt(key, here, record, now)
        here.span = replace(here.span, end_ns=now)
        if change and change["state"] in FINAL:
            if here.inner is not None:
                yield _ended(here.inner, change, now)
            # The caller's trace stands in the log a line after the run's first.
            span = replace(here.span, parent=self.trace.parent) if whole else here.span
            yield _ended(span, change, now)
            del self._open[key]

    def _begin(self, key: str, now: int) -> _Open:
        rounds = self._rounds[key] = self._rounds.get(key, 0) + 1
        attributes = {"agentforge.run_id": self._source.run_id} | ({"agentforge.phase": key} if key else {})
        run = self._open[""].span.span_id if key and "" in self._open else self.trace.parent
        parent = run if key else self.trace.parent
        return _Open(Span(key or "pipeline", self._id(key, rounds), parent, now, now, attributes), begun=rounds)

    def _attempt(self, key: str, here: _Open, record: Record, now: int) -> Iterator[Span]:
        """A worker that died says no goodbye: its attempt ends with the last that was heard of it."""
        number = record["attempt"]
        running = record.get("state_changed", {}).get("state") == "RUN_STATE_RUNNING"
        if running and number > here.attempt:
            if here.inner is not None:
                yield replace(here.inner, error="its worker ended without a word")
            here.attempt = number
            attributes = {**here.span.attributes, "agentforge.attempt": number}
            own = self._id(key, here.begun, number)
            here.inner = Span(f"{key} attempt {number}", own, here.span.span_id, now, now, attributes)
        elif here.inner is not None and number == here.attempt:
            here.inner = replace(here.inner, end_ns=now)

    def _id(self, *parts: object) -> int:
        text = "\n".join(map(str, (self._source.mark, *parts)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) or 1


def _ended(span: Span, change: dict[str, Any], now: int) -> Span:
    state = change["state"].removeprefix("RUN_STATE_")
    attributes = {**span.attributes, "agentforge.state": state}
    error = change.get("error") or {}
    if error.get("reason"):
        attributes["agentforge.error.reason"] = error["reason"]
    failed = (error.get("message") or change.get("reason") or state) if state == "FAILED" else ""
    return replace(span, end_ns=now, attributes=attributes, error=failed)


def _ns(time: str) -> int:
    moment = datetime.fromisoformat(time)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
