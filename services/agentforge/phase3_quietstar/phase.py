"""The story of phase 3: the same model trained without thoughts and with them; what measured better is given on."""

from __future__ import annotations

from functools import partial

from agentforge.data.splits import Split
from agentforge.kit import ranks
from agentforge.kit.audience import Audience
from agentforge.kit.context import PhaseContext
from agentforge.models.thoughts.thinker import Thinker
from agentforge.phase3_quietstar.config import QuietStarConfig
from agentforge.phase3_quietstar.judging import Candidates, items_of, judge
from agentforge.phase3_quietstar.publish import publish
from agentforge.phase3_quietstar.report import Report
from agentforge.phase3_quietstar.start import Start, load_start
from agentforge.phase3_quietstar.training import ThinkingLoss, plain_loss
from agentforge.train.loop import Training
from agentforge.train.machine import settled
from agentforge.train.stages import Finished, Stages
from agentforge.train.state import put_tensors

THOUGHTLESS = ("thoughtless_worked", "thoughtless")
THINKING = ("worked", "thinking")


def run(context: PhaseContext, config: QuietStarConfig) -> None:
    with settled(config.thinking):
        start = load_start(context.inputs.one("model"), config)
        check_rows(start)
    stages = Stages(context, plan(start), start.codec.digest)
    thoughtless = trained(context, start, stages, THOUGHTLESS)
    thinking = trained(context, start, stages, THINKING)
    if not ranks.leader_goes_on():
        return
    with settled(config.thinking):
        candidates = Candidates(start.came, with_tensors(start, thoughtless), with_tensors(start, thinking))
        publish(context, start, judge(context, start, candidates))


def check_rows(start: Start) -> None:
    """What is wrong with the last stage's rows, or with a split, is told before the first step of the first."""
    if start.config.data.worked:
        start.worked(thoughts=True)
    items_of(start, Split.SELECTION, start.config.evaluation.items)
    items_of(start, Split.TEST, start.config.evaluation.test_items)


def plan(start: Start) -> dict[str, int]:
    """Steps of each stage, in order. Without worked families there is nothing to show before thinking."""
    config = start.config
    worked = {name: config.worked.steps for name in (THOUGHTLESS[0], THINKING[0]) if config.data.worked}
    last = {THOUGHTLESS[1]: start.thoughtless.steps, THINKING[1]: config.thinking.steps}
    return {name: steps for name in THOUGHTLESS + THINKING for steps in [(worked | last).get(name)] if steps}


def trained(context: PhaseContext, start: Start, stages: Stages, names: tuple[str, str]) -> Finished:
    worked, last = names
    before = None
    if worked in stages.plan:
        before = stages.run(worked, partial(on_worked, start, worked))
    return stages.run(last, partial(on_answers, context, start, last, before))


def on_worked(start: Start, name: str) -> Training:
    rows = start.worked(thoughts=name == THINKING[0])
    return Training(
        with_tensors(start, None), rows, start.config.worked, name=f"quietstar/training/{name}", loss_of=plain_loss
    )


def on_answers(context: Audience, start: Start, name: str, before: Finished | None) -> Training:
    thinker, config = with_tensors(start, before), start.config
    if name == THOUGHTLESS[1]:
        return Training(
            thinker, start.plain(), start.thoughtless, name=f"quietstar/training/{name}", loss_of=plain_loss
        )
    reference = with_tensors(start, before).model if config.loss.divergence_ceiling is not None else None
    report = Report(context, start.codec, thinker, config.samples, config.thinking.steps - 1)
    loss = ThinkingLoss(config, reference, report)
    training = Training(thinker, start.plain(), config.thinking, name=f"quietstar/training/{name}", loss_of=loss)
    loss.step_of = lambda: training.step
    return training


def with_tensors(start: Start, finished: Finished | None) -> Thinker:
    """A model and a head of their own, as they came or as a stage left them."""
    thinker = start.thinker(start.copy())
    if finished is not None:
        put_tensors(thinker, finished.tensors)
    return thinker
