"""Faults, each of them real: a process that is killed, a write to a full device, a byte that is changed on disk."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.kit.agents.agent import Outcome, Task, Work
from agentforge.kit.agents.memory import MemoryGovernor
from agentforge.kit.agents.messages import Packet, Receipt
from agentforge.phase6_baking.experiments.small_nine import LAST, MAKES, MEMORY_BYTES, NAMES, made, target

_AT_WORK = ("error", "hang", "crash", "wrong_content", "truncated", "memory", "disk", "wrong_shape")
MESSAGES = ("message_lost", "receipt_lost", "message_twice", "message_late")
_ON_DISK = ("altered_before_publishing", "altered_after_publishing")
ONCE = (*_AT_WORK, *_ON_DISK, *MESSAGES)
LASTING = tuple(f"{kind}_always" for kind in ("error", "hang", "crash", "memory", "disk", "wrong_shape"))
ENVIRONMENT = ("memory_always", "disk_always")  # the second implementation meets them as well
_PASSING = 3  # packets that overtake a late one


@dataclass(frozen=True)
class Fault:
    kind: str
    agent: str


class Strikes:
    """All faults of one run. Those of a message or a file strike what the agent sends or publishes; the last agent
    does neither to anyone, so they strike what it takes."""

    def __init__(self, faults: Sequence[Fault], directory: Path, drawn: random.Random) -> None:
        self.faults, self._directory, self._drawn = faults, directory, drawn
        self._struck: set[Fault] = set()
        self._late: list[tuple[Packet, Callable[[Packet], None], int]] = []

    def hits(self) -> bool:
        """Whether every fault that this process deals out was dealt; children have their own."""
        return all(fault in self._struck for fault in self.faults if fault.kind in (*MESSAGES, *_ON_DISK))

    def struck(self, name: str, work: Work, fallback: bool) -> Work:
        for fault in self.faults:
            kind = fault.kind.removesuffix("_always")
            if fault.agent == name and kind in _AT_WORK:
                if fallback and fault.kind not in ENVIRONMENT:
                    continue
                work = _struck(work, kind, always=fault.kind != kind, share=self._drawn.random())
        return work

    def governor(self) -> MemoryGovernor:
        return _Governor(self._directory.parent / "memory", self._between)

    def wire(self, packet: Packet, deliver: Callable[[Packet], None]) -> None:
        message = packet.message if isinstance(packet, Receipt) else packet
        times = 1
        for fault in self.faults:
            if fault in self._struck or not self._is_meant(fault, message.sender, message.receiver):
                continue
            if fault.kind == "altered_after_publishing":
                self._alter(self._directory / "done" / message.sender / message.body["output"])
            elif fault.kind.startswith("receipt") == isinstance(packet, Receipt) and fault.kind in MESSAGES:
                times = 2 if fault.kind == "message_twice" else 0
                if fault.kind == "message_late":
                    self._late.append((packet, deliver, _PASSING))
            else:
                continue
            self._struck.add(fault)
        for _ in range(times):
            deliver(packet)
        self._catch_up()

    def _is_meant(self, fault: Fault, sender: str, receiver: str) -> bool:
        return fault.agent == sender or fault.agent == LAST == receiver

    def _catch_up(self) -> None:
        waiting, self._late = self._late, []
        for packet, deliver, passing in waiting:
            if passing:
                self._late.append((packet, deliver, passing - 1))
            else:
                deliver(packet)

    def _between(self, agent: str) -> None:
        """After an agent has digested what it wrote, and before that is published. It may have written nothing."""
        place = self._directory / "work" / agent / MAKES[agent]
        for fault in self.faults:
            meant = fault.kind == "altered_before_publishing" and fault.agent == agent
            if meant and fault not in self._struck and place.exists():
                self._struck.add(fault)
                self._alter(place)

    def _alter(self, place: Path) -> None:
        """One bit, or the end cut off."""
        place = place / "data" if place.is_dir() else place
        data = bytearray(place.read_bytes() or b"?")
        at = self._drawn.randrange(len(data))
        if self._drawn.random() < 0.5:
            data[at] ^= 1 << self._drawn.randrange(8)
        else:
            del data[at:]
        place.write_bytes(data)


class _Governor(MemoryGovernor):
    """Its `release` is called between the end of an agent's work and the publication."""

    def __init__(self, ledger: Path, between: Callable[[str], None]) -> None:
        super().__init__(ledger, 1 << 30)
        self._between, self._names = between, dict[str, str]()

    def ask(self, token: str, wanted_bytes: int) -> bool:
        self._names[token] = NAMES[wanted_bytes - MEMORY_BYTES]
        return super().ask(token, wanted_bytes)

    def release(self, token: str) -> None:
        super().release(token)
        self._between(self._names[token])


def _struck(work: Work, kind: str, *, always: bool, share: float) -> Work:
    """In the first attempt or in each; `share` of the output is written when a process dies or hangs."""

    def struck(task: Task) -> Outcome:
        return _strike(work, kind, task, share) if always or task.attempt == 1 else work(task)

    return struck


def _strike(work: Work, kind: str, task: Task, share: float) -> Any:
    if kind == "memory":
        bytearray(4 * MEMORY_BYTES)
    elif kind == "disk":
        Path("/dev/full").write_bytes(b"x")
    elif kind == "error":
        raise RuntimeError("struck")
    elif kind == "wrong_shape":
        (task.directory / "stray").write_text("nobody declared this")
        return work(task)
    elif kind == "wrong_content":
        data = made(task.agent, -1, {})
        target(task).write_bytes(data[:64] + data[65:])
        return Outcome()
    data = made(task.agent, -1, {})
    target(task).write_bytes(data[: int(share * len(data))])  # of other content: nothing may come of it
    if kind == "hang":
        time.sleep(600)
    elif kind == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome()
