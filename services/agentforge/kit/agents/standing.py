"""How it stands with one agent of a graph that is at work."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agentforge.kit.agents.agent import Agent, Strategy
from agentforge.kit.agents.failure import Failure
from agentforge.kit.agents.published import Result


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    ISOLATED = "isolated"
    FAILED = "failed"
    SKIPPED = "skipped"  # the graph failed before its turn


@dataclass
class Standing:
    agent: Agent
    state: State = State.WAITING
    attempts: int = 0
    failed_attempts: int = 0
    falls_back: bool = False  # from now on
    fresh: bool = True  # the next attempt begins in an empty directory
    not_before: float = 0.0  # time.monotonic
    received: dict[str, str | None] = field(default_factory=dict)  # digests of inputs, as messages tell them
    used: Counter[Strategy] = field(default_factory=Counter)
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of each attempt
    result: Result | None = None  # the newest, also while it is made again
    kept: bool = False  # taken from an earlier run of the graph
    failure: Failure | None = None  # that it ended with

    @property
    def over(self) -> bool:
        return self.state in (State.DONE, State.ISOLATED)

    @property
    def circuit(self) -> str:
        return f"{self.agent.name}/fallback" if self.falls_back else self.agent.name

    @property
    def has_inputs(self) -> bool:
        return all(name in self.received for name in self.agent.takes)

    @property
    def saved_by(self) -> str | None:
        """The last strategy before it was done; None where none was needed."""
        then = [each["then"] for each in self.history if each["then"]]
        return then[-1] if then and self.over else None

    @property
    def tried(self) -> str:
        """In words: "retry, retry, escalate"."""
        return ", ".join(each["then"] for each in self.history if each["then"])

    def wait(self, seconds: float) -> None:
        """And go on in the same directory."""
        self.not_before, self.fresh = time.monotonic() + seconds, False

    def fall_back(self) -> None:
        self.falls_back, self.fresh = True, True
        self.used.clear()

    def take_up(self, result: Result) -> None:
        """What an earlier run of the graph has finished."""
        self.kept, self.history = True, list(result.history)
        self.attempts = self.history[-1]["attempt"] if self.history else 0
        self.failed_attempts = sum(each["failure"] is not None for each in self.history)

    def note(self, failure: Failure, then: Strategy) -> None:
        self.history.append(self.noted(failure, then))

    def noted(self, failure: Failure | None, then: Strategy | None) -> dict[str, Any]:
        work = "fallback" if self.falls_back else "first"
        told = failure.plain() if failure else None
        return {"attempt": self.attempts, "work": work, "failure": told, "then": str(then) if then else None}
