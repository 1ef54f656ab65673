"""Measures for `faults`: nine agents on small files, each run struck, its end compared with what is right."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.agents.agent import Strategy
from agentforge.kit.agents.messages import DataFlowCoordinator
from agentforge.kit.agents.report import GraphFailed, GraphReport
from agentforge.kit.agents.run import run_graph
from agentforge.kit.agents.standing import State
from agentforge.kit.audience import Quiet
from agentforge.kit.rng import Rng
from agentforge.phase6_baking.experiments import small_nine
from agentforge.phase6_baking.experiments.strikes import ENVIRONMENT, LASTING, MESSAGES, ONCE, Fault, Strikes

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own in it; 40 fsyncs a run would measure the disk
_TWO = 54  # runs with two faults, for each seed


def measure(part: str, seed: int, repeats: int) -> list[dict[str, Any]]:
    drawn = Rng(seed, "faults", part).python()
    if part == "one":
        struck = [[Fault(*pair)] for pair in itertools.product((*ONCE, "error_always"), small_nine.NAMES)] * repeats
    elif part == "lasting":
        struck = [[Fault(*pair)] for pair in itertools.product(LASTING, small_nine.NAMES)]
    else:
        two = [drawn.sample(small_nine.NAMES, 2) for _ in range(_TWO)]
        struck = [[Fault(drawn.choice(ONCE), name) for name in names] for names in two]
    return [_run(faults, seed, place) for place, faults in enumerate(struck)]


def _run(faults: Sequence[Fault], seed: int, place: int) -> dict[str, Any]:
    began = time.perf_counter()
    with TemporaryDirectory(prefix="af-faults-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        directory = Path(folder) / "graph"
        strike = Strikes(faults, directory, Rng(seed, "strikes", place).python())
        found = _ended(strike, directory, seed + place)
    remedy = all(_has_remedy(fault) for fault in faults)
    told = [[fault.kind, fault.agent] for fault in faults]
    return {"faults": told, "remedy": remedy, "seconds": time.perf_counter() - began, **found}


def _ended(strike: Strikes, directory: Path, content: int) -> dict[str, Any]:
    mail = DataFlowCoordinator(wire=strike.wire, again_s=0.01)
    graph = small_nine.graph(content, strike.struck)
    try:
        report = run_graph(graph, directory, Quiet(), mail=mail, memory=strike.governor())
    except GraphFailed as error:
        return {"end": "failed", "by": "", "clear": _is_clear(error, strike, directory, content)}
    right = _is_right(report, content)
    return {"end": "right" if right else "wrong", "by": _saved_by(report), "hit": strike.hits()}


def _is_right(report: GraphReport, content: int) -> bool:
    """Every output there is, to the bit; what was left out shows in the last one and nowhere else."""
    absent = {name for name, each in report.agents.items() if each.state is State.ISOLATED}
    wanted = small_nine.expected(content, absent)
    return {name: small_nine.content(place) for name, place in report.outputs.items()} == wanted


def _is_clear(error: GraphFailed, strike: Strikes, directory: Path, content: int) -> bool:
    """It says what a person needs; and, once the fault is mended, the rest is done and the finished work taken."""
    said = error.field in error.message and "tried: " in error.message and bool(error.next_step)
    named = error.field in {fault.agent for fault in strike.faults}
    states = {name: each.state for name, each in error.report.agents.items()}
    states_clear = states[error.field] is State.FAILED and State.RUNNING not in states.values()
    finished = {name for name, state in states.items() if state in (State.DONE, State.ISOLATED)}
    resumed = run_graph(small_nine.graph(content), directory, Quiet())
    kept = {name for name, each in resumed.agents.items() if each.kept}
    return said and named and states_clear and kept == finished and _is_right(resumed, content)


def _saved_by(report: GraphReport) -> str:
    """Of several the strongest: that left something out, before that did it otherwise, before more tries."""
    used = {each.saved_by for each in report.agents.values()}
    strongest = ("isolate", "fallback", "rollback", "restart", "retry")
    return next((each for each in strongest if each in used), "messages")


def _has_remedy(fault: Fault) -> bool:
    """By the policy alone, before anything has run."""
    if fault.kind in ONCE or fault.kind in MESSAGES:
        return True
    order = small_nine.POLICIES[fault.agent].order
    helped = Strategy.FALLBACK in order and fault.kind not in ENVIRONMENT
    return helped or Strategy.ISOLATE in order
