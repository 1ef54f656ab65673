"""Everything that the config asks for, wired into the loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from statistics import fmean
from typing import Any

from torch import Tensor, nn

from agentforge.data.drills import DRILLS, drill
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.loader import ROWS_TRIED, Loader, Prefetch
from agentforge.data.rows import ItemRows, Numbered, RowSource
from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase5_training.configs.data import TEXT, TOKENS
from agentforge.phase5_training.dreams import Dreams
from agentforge.phase5_training.edge import Difficulties, difficulties
from agentforge.phase5_training.pace import Pace
from agentforge.phase5_training.quantised import Quantised
from agentforge.phase5_training.rewards import Rewards, stage_config
from agentforge.phase5_training.rows import Measuring, MixedRows, SteeredBatches, answering
from agentforge.phase5_training.selfmodel import SelfModel
from agentforge.phase5_training.start import Start
from agentforge.phase5_training.validation import given_losses
from agentforge.train.evaluate import item_loss
from agentforge.train.loop import Batches, Training

SUPERVISED, REWARDED = "supervised", "rewarded"  # the phase's two trainings

Tell = Callable[[Measurement], object]


class ForgeLoss:
    """A `LossOf`: what is to be said, in dreams the anchor too; hidden states; latents near their codes."""

    def __init__(self, dreams: Dreams, selfmodel: SelfModel, quantised: Quantised) -> None:
        self.dreams, self.selfmodel, self.quantised = dreams, selfmodel, quantised

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        # A Titan passes its layers several times. Not beside an anchor: its codes would be those of now.
        with nullcontext() if self.dreams.start else frozen(model):
            loss = self.dreams.loss(model, batch)
        if self.selfmodel.taps:
            loss = loss + self.selfmodel.loss(batch["attention_mask"])
        if self.quantised.config.regulariser:
            loss = loss + self.quantised.loss()
        return loss


def supervised(start: Start, measure: Tell) -> Training:
    """On a model of its own."""
    config, model = start.config, start.copy()
    dreams = _dreams(start, model, measure)
    selfmodel, quantised = SelfModel(model, config.selfmodel, config.train), Quantised(model, config.quantised)
    return Training(
        model, dreams, config.train, name="forge",
        loss_of=ForgeLoss(dreams, selfmodel, quantised), evaluate=selection(start, model, measure),
        pace=Pace(config.pace) if config.pace.kind == "stages" else None,
        parts={"selfmodel": selfmodel, "quantised": quantised},
    )  # fmt: skip


def _dreams(start: Start, model: Any, measure: Tell) -> Dreams:
    """The batches of supervised training. Steered ones are made when they are asked for, others ahead."""
    config, codec = start.config, start.codec
    controller = steering(start)
    rows = sources(start, controller)
    loader = Loader(rows, batch=config.train.batch, pad=codec.pad, seed=config.seed)
    if controller is not None:
        measuring = Measuring(controller, answering(model, codec, config.evaluation.batch), config.seed, measure)
        batches: Batches = SteeredBatches(loader, measuring, config.train.accumulation)
    else:
        batches = Prefetch(loader)
        rows = _sources(start, None)  # of its own: the others are read by a thread
    return Dreams(
        batches, [source for source, _ in rows], model, codec, config.dreams, seed=config.seed,
        rows=config.train.batch, passes=config.train.accumulation, measure=measure,
    )  # fmt: skip


def rewarded(start: Start, before: dict[str, Tensor], measure: Tell) -> Training:
    """By exact rewards, from these weights on."""
    config, model = start.config, start.copy(before)
    families = {name: config.data.difficulty(name) for name in config.data.families}
    rewards = Rewards(model, start.codec, families, config.rewards, seed=config.seed, measure=measure)
    train = stage_config(config.train, config.rewards)
    return Training(model, rewards, train, name=f"forge/{REWARDED}", loss_of=rewards.loss)


def steering(start: Start) -> Difficulties | None:
    """Of the families with difficulties to choose from. None: they are drawn evenly."""
    data, edge = start.config.data, start.config.edge
    if edge.kind == "uniform":
        return None
    trained = data.weights(start.given.names)
    levels = {name: data.difficulty(name) for name in data.families if name in trained}
    steered = {name: found for name, found in levels.items() if len(set(found)) > 1}
    return difficulties(edge, steered, start.config.train.steps)


def sources(start: Start, controller: Difficulties | None) -> list[tuple[RowSource, float]]:
    """With their weights; the first rows are tried: what does not fit is found now, or is very rare."""
    found = _sources(start, controller)
    for rows, _ in found:
        if isinstance(rows, Numbered):
            _try(rows)
    return found


def selection(start: Start, model: Any, measure: Tell) -> Callable[[], Measurement]:
    """The loss that early stopping and the stages go by."""
    config = start.config.evaluation
    items: list[Item] = start.items(Split.SELECTION, config.items)

    def evaluate() -> Measurement:
        with frozen(model):
            of_items = item_loss(model, start.codec, items, name="forge/selection_loss", batch=config.batch)
            given = given_losses(model, start.given, Split.SELECTION, "forge/selection", config.batch)
        losses = [of_items, *(one for one in given if one.name.endswith("_loss"))]
        if len(losses) == 1:
            return of_items
        for one in given:
            measure(one)
        method = f"mean of the losses of {len(losses)} kinds: items, {', '.join(sorted(start.given.names))}"
        return replace(of_items, value=fmean(one.value for one in losses), method=method)

    return evaluate


def _sources(start: Start, controller: Difficulties | None) -> list[tuple[RowSource, float]]:
    weights = start.config.data.weights(start.given.names)
    return [(_rows(start, name, controller), weight) for name, weight in weights.items()]


def _rows(start: Start, name: str, controller: Difficulties | None) -> RowSource:
    data, codec, seed = start.config.data, start.codec, start.config.seed
    if name in (TEXT, TOKENS):
        return start.given.rows(name)
    if name in DRILLS:
        return drill(name, codec, data.difficulty, seed)
    if controller is not None and name in controller.levels:
        return MixedRows(name, controller, codec, data.length, seed)
    return ItemRows(ItemStream(name, Split.TRAIN, seed, data.difficulty(name)), codec, data.length)


def _try(rows: RowSource) -> None:
    try:
        if isinstance(rows, MixedRows):
            rows.try_all()
        else:
            for number in range(ROWS_TRIED):
                rows.row(number)
    except InvalidInput as error:
        error.field = {"ITEM_TOO_LONG": "data.length"}.get(error.reason, error.field)
        raise
