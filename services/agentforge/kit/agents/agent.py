"""What an agent is: a piece of work with inputs, outputs, a deadline, and a policy for when it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from agentforge.kit.measure import Measurement


class Strategy(StrEnum):
    """What can be done about a failed attempt. Each applies to some failures only, and so often as the policy says.

    RETRY     The same work again after a back-off, in the same working directory: it may go on from what it had
              written there. Not for wrong input (the same would fail again), damaged inputs or an open circuit.
    RESTART   The same work at once, in a new and empty working directory (and a new process). Not for the same.
    FALLBACK  The agent's second implementation, in an empty directory, from now on; once. It has retries, restarts
              and a circuit of its own. Not for damaged inputs.
    ROLLBACK  For damaged inputs alone: an input that is not what its producer published is set aside (kept), its
              producer makes it again, and the agent runs after that. What others had made of the old one is made
              again where the new one differs. Not for inputs that come from outside of the graph.
    ISOLATE   The agent is left out and its outputs are absent; those who take them can do without (`Graph.check`).
    ESCALATE  Nothing new is started, agents at work end, all that is finished is kept, and `GraphFailed` tells.
    """

    RETRY = "retry"
    RESTART = "restart"
    FALLBACK = "fallback"
    ROLLBACK = "rollback"
    ISOLATE = "isolate"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class Policy:
    """At a failure the first strategy of `order` that applies and is not used up is taken."""

    order: tuple[Strategy, ...] = (Strategy.ROLLBACK, Strategy.RETRY, Strategy.RESTART, Strategy.ESCALATE)
    retries: int = 2
    restarts: int = 1
    rollbacks: int = 2
    backoff_s: float = 0.5  # before the first retry; it doubles
    longest_backoff_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Task:
    """What the work is given. Every output is written to `directory / name`: a file, or a directory of files."""

    agent: str
    attempt: int  # from 1
    inputs: Mapping[str, Path]  # read only; without those that are absent
    directory: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the work says of itself. `facts` is plain JSON without times: it goes into logs that are byte-equal."""

    measurements: tuple[Measurement, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


Work = Callable[[Task], Outcome]
Where = Literal["inline", "process"]


@dataclass(frozen=True)
class Agent:
    """`where`:

    "process"  In a forked child, which is killed at the deadline. It dies with this process. It must not use what
               threads of this process hold (a PhaseContext), nor a GPU; torch has one thread in it.
    "inline"   In the calling thread and alone, for work that has its own checkpoints and stops when asked:
               RunStopped passes. It cannot be cut short: a late end is told, and counts.
    """

    name: str
    work: Work
    takes: tuple[str, ...]
    makes: tuple[str, ...]
    deadline_s: float  # of each attempt
    policy: Policy = Policy()
    where: Where = "process"
    memory_bytes: int = 256 << 20  # asked of the governor; a child gets no more beside what it is forked with
    fallback: Work | None = None
    check: Callable[[Task], None] | None = None  # raises where outputs are not what they must be; after either work
    can_do_without: tuple[str, ...] = ()  # of `takes`: may be absent
