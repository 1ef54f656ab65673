"""Tools and persona in turns: each round a stage of training, until persona.plateau says that it gets no better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean
from typing import Any

from torch import Tensor

from agentforge.data.splits import Split
from agentforge.kit.context import PhaseContext
from agentforge.kit.measure import Measurement
from agentforge.phase6_baking.config import BakingConfig
from agentforge.phase6_baking.following import FOLLOWING, following
from agentforge.phase6_baking.judging import BAKED, Judge, Who, scorer_of
from agentforge.phase6_baking.one_round import round_of
from agentforge.phase6_baking.persona.plateau import PlateauDetector
from agentforge.phase6_baking.persona.scores import progress
from agentforge.phase6_baking.sources import PERSONA, TOOLS
from agentforge.phase6_baking.start import Start
from agentforge.train.stages import Stages
from agentforge.train.state import own_tensors

Tensors = Mapping[str, Tensor]


@dataclass
class Baked:
    """`teacher`: weights that follow the prompts. `scores`: on the selection split, after each round."""

    teacher: Tensors
    weights: Tensors
    scores: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[str, Any] = field(default_factory=dict)


def kinds(config: BakingConfig) -> list[str]:
    """A, B."""
    wanted = {TOOLS: config.tools.on, PERSONA: bool(config.persona.traits.wanted)}
    return [kind for kind, on in wanted.items() if on]


def plan(config: BakingConfig) -> dict[str, int]:
    """Steps of each training, in order; the last rounds may not be needed."""
    steps = {FOLLOWING: config.following.steps} if config.following.needed and config.bakes else {}
    for number in range(1, config.cycles.most + 1):
        steps |= {f"{kind}-{number}": config.train.steps for kind in kinds(config)}
    return steps


def bake(context: PhaseContext, start: Start) -> Baked:
    config = start.config
    stages = Stages(context, plan(config), start.codec.digest)
    teacher: Tensors = own_tensors(start.model)
    if config.following.needed:
        teacher = stages.run(FOLLOWING, partial(following, start)).tensors
    found = Baked(teacher, teacher)
    plateau = PlateauDetector(config.persona.plateau)
    for number in range(1, config.cycles.most + 1):
        for kind in kinds(config):
            taught = found.weights if config.bake.teacher == "baked" else teacher
            make = partial(round_of, start, kind, number, start.copy(taught), found.weights, context.measure)
            found.weights = stages.run(f"{kind}-{number}", make).tensors
        if number == config.cycles.most:
            break
        score = _score(context, start, number, found)
        if plateau.observe(score):
            context.log(f"round {number} of tools and persona gained nothing: it ends here")
            break
    found.curves = {name: each.curve for name, each in stages.finished.items()}
    return found


def _score(context: PhaseContext, start: Start, number: int, found: Baked) -> float:
    """On the selection split: right answers, valid calls, and how near the traits are to their targets."""
    judge = Judge(start, Split.SELECTION, start.config.evaluation.items)
    who = Who(BAKED, start.copy(found.weights).eval(), "")
    measured = [*judge.tools(who), *judge.kept(who)]
    scorer = scorer_of(start)
    wanted = {f"baking/{BAKED}/{name}" for name in ("valid_calls", "tool_accuracy", "skill_accuracy")}
    parts = {one.name.rpartition("/")[2]: one.value for one in measured if one.name in wanted}
    if scorer is not None:
        persona = judge.persona(who, scorer)
        parts["persona"] = progress(persona, start.config.persona, prefix=f"baking/{BAKED}")
    score = fmean(parts.values())
    method = f"mean of {', '.join(sorted(parts))} on the selection split"
    context.measure(
        Measurement("baking/round_score", score, "1", method, len(judge.tasks) + len(judge.skills), None, number)
    )
    found.scores.append({"round": number, "score": score, **parts})
    return score
