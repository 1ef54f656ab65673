"""The nine agents in one graph: who takes what, what each makes, and what is done when one fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from agentforge.kit import ranks
from agentforge.kit.agents.agent import Agent, Outcome, Policy, Strategy, Task, Where
from agentforge.kit.agents.graph import Graph
from agentforge.phase6_baking.agents.accelerator import accelerate, plain_engine
from agentforge.phase6_baking.agents.coordinator import coordinate
from agentforge.phase6_baking.agents.deployer import prepare
from agentforge.phase6_baking.agents.graph import optimise_graph
from agentforge.phase6_baking.agents.hardware import adapt
from agentforge.phase6_baking.agents.memory import optimise_memory
from agentforge.phase6_baking.agents.optimizer import Crew
from agentforge.phase6_baking.agents.profiler import profile
from agentforge.phase6_baking.agents.validator import validate
from agentforge.phase6_baking.start import Start

_WORKING = (Strategy.ROLLBACK, Strategy.RETRY, Strategy.RESTART)
_YEAR_S = 3.2e7  # training has its own checkpoints, and no deadline that could cut it short

_REPORTS = ("graph.json", "serving.json", "memory.json", "profile.json")


def nine(start: Start, crew: Crew) -> Graph:
    """A model can be handed out without advice on how to run it, so agents that only advise may be left out."""
    config = start.config.agents

    def policy(*last: Strategy) -> Policy:
        return Policy((*_WORKING, *last), retries=config.retries, backoff_s=config.wait_s)

    needed, advice = policy(Strategy.ESCALATE), policy(Strategy.ISOLATE)
    engine = policy(Strategy.FALLBACK, Strategy.ISOLATE)
    where: Where = "inline" if torch.cuda.is_available() else "process"  # a fork cannot use its parent's GPU
    memory_bytes = (config.memory_mb << 20) // 2  # two at a time

    def agent(
        name: str, work: Callable[[Start, Task], Outcome], takes: tuple[str, ...], makes: str, policy: Policy
    ) -> Agent:
        fallback = partial(plain_engine, start) if Strategy.FALLBACK in policy.order else None
        optional = tuple(each for each in takes if each in (*_REPORTS, "hardware.json"))
        return Agent(
            name, partial(work, start), takes, (makes,), config.deadline_s, policy, where, memory_bytes,
            fallback=fallback, can_do_without=optional,
        )  # fmt: skip

    # It goes on from its checkpoints; several ranks can only fail together.
    again = (Strategy.RETRY,) if ranks.current().world == 1 else ()
    training = Agent(
        "model_optimizer", crew.optimise, ("plan.json",), ("weights",), _YEAR_S,
        Policy((Strategy.ROLLBACK, *again, Strategy.ESCALATE), retries=config.retries, backoff_s=config.wait_s),
        "inline", memory_bytes,
    )  # fmt: skip
    weights = ("weights",)
    everything = ("plan.json", "hardware.json", "weights", "quality.json", *_REPORTS)
    return Graph([
        agent("baking_coordinator", coordinate, (), "plan.json", needed),
        agent("hardware_adapter", adapt, (), "hardware.json", advice),
        training,
        agent("quality_validator", validate, weights, "quality.json", needed),
        agent("graph_optimizer", optimise_graph, weights, "graph.json", advice),
        agent("inference_accelerator", accelerate, weights, "serving.json", engine),
        agent("memory_optimizer", optimise_memory, weights, "memory.json", advice),
        agent("performance_profiler", profile, weights, "profile.json", advice),
        agent("deployment_preparer", prepare, everything, "agent", needed),
    ])  # fmt: skip
