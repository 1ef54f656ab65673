"""The story of phase 6: merge the adapters that are given, then nine agents bake, measure and pack."""

from __future__ import annotations

import os
import time

from agentforge.kit import ranks
from agentforge.kit.agents.breakers import Breakers
from agentforge.kit.agents.health import PipelineHealthMonitor
from agentforge.kit.agents.memory import MemoryGovernor
from agentforge.kit.agents.report import GraphFailed, GraphReport
from agentforge.kit.agents.run import run_graph
from agentforge.kit.config import resolved
from agentforge.kit.context import PhaseContext
from agentforge.kit.digests import digest_json
from agentforge.kit.measure import Measurement
from agentforge.phase6_baking.adapting import merge_only, with_adapters
from agentforge.phase6_baking.agents.optimizer import Crew, Leader
from agentforge.phase6_baking.config import BakingConfig
from agentforge.phase6_baking.following import check_rows
from agentforge.phase6_baking.nine import nine
from agentforge.phase6_baking.publish import publish
from agentforge.phase6_baking.start import Start, load_start
from agentforge.train.machine import settled


def run(context: PhaseContext, config: BakingConfig) -> None:
    with settled(config.train):
        given = load_start(context.inputs.one("model"), config)
        start = with_adapters(context, given)
        if not config.bakes:
            merge_only(context, start, given.model)
            return
        check_rows(start)
        crew = Crew(context, start)
        if not ranks.current().leads:
            crew.follow()
            return
        began = time.monotonic()
        report = _work(context, start, crew)
    minutes = (time.monotonic() - began) / 60
    method = "wall clock of all agents, in this attempt"
    for one in (
        *report.measurements("baking"),
        Measurement("baking/processing_time_min", minutes, "min", method, 1),
    ):
        context.measure(one)
    publish(context, report)


def _work(context: PhaseContext, start: Start, crew: Crew) -> GraphReport:
    """What agents have finished stays through a kill, so the directory is the run's own."""
    limits = start.config.agents
    breakers = Breakers(limits.breaker)
    health = PipelineHealthMonitor("baking/health")
    memory = MemoryGovernor(context.work / "memory.json", limits.memory_mb << 20)
    try:
        report = run_graph(
            nine(start, crew), context.work / "agents", Leader(context),
            key=digest_json(resolved(start.config)), at_most=min(4, len(os.sched_getaffinity(0))),
            memory=memory, breakers=breakers, health=health,
        )  # fmt: skip
    except GraphFailed as failed:
        context.sample("agents", failed.report.recovery()["content"])
        raise
    finally:
        for one in health.measurements(breakers):
            context.measure(one)
    crew.dismiss()
    return report
