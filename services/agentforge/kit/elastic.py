"""Ranks that torchrun starts, and starts again: where those of one attempt meet, and nobody of an earlier one.

torchrun (2.13) keeps its store through restarts, so gloo would find addresses of ranks that are gone; its count of
restarts differs among machines. So the leader gives each attempt a name; who finds itself there already, or finds
another name, has come to an earlier one.
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from typing import Any

from agentforge.kit import machines
from agentforge.kit.errors import RunFailed
from agentforge.kit.ranks import RANK_LOST, Ranks

_LOOK_S = 0.05
_NAME = "agentforge/attempt"


@dataclass(frozen=True, slots=True)
class Met:
    store: Any  # of this attempt alone
    name: str

    def another_connection(self) -> Any:
        """To the same store: one that waits for something keeps all else on its connection waiting."""
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        return machines.distributed().PrefixStore(f"{self.name}/beats", machines.reach_store(place))


def meet(own: Ranks) -> Met:
    dist = machines.distributed()
    store = next(dist.rendezvous("env://", own.rank, own.world))[0]
    deadline = time.monotonic() + machines.gather_s()
    name = _lead(store, own, deadline) if own.leads else _follow(store, own, deadline)
    return Met(dist.PrefixStore(name, store), name)


def _lead(store: Any, own: Ranks, deadline: float) -> str:
    name = f"agentforge/{uuid.uuid4().hex}"
    store.set(_NAME, name)
    while missing := [rank for rank in range(1, own.world) if not store.check([f"{name}/here/{rank}"])]:
        _wait(f"ranks {', '.join(map(str, missing))} of {own.world} did not come", deadline)
    store.set(f"{name}/go", "1")
    return name


def _follow(store: Any, own: Ranks, deadline: float) -> str:
    passed, name = set[str](), ""
    while True:
        latest = store.get(_NAME).decode() if store.check([_NAME]) else ""
        if latest != name and latest not in passed:
            name = latest
            if store.add(f"{name}/here/{own.rank}", 1) > 1:  # so it was before we were started again
                passed.add(name)
                name = ""
        if name and store.check([f"{name}/go"]):
            return name
        _wait("rank 0 did not come", deadline)


def _wait(what: str, deadline: float) -> None:
    if time.monotonic() > deadline:
        message = f"{what} within {machines.gather_s():g} s"
        raise RunFailed(message, reason=RANK_LOST, next_step="See what torchrun says of the other machines.")
    time.sleep(_LOOK_S)
