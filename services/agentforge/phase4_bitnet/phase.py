"""The story of phase 4: look at what passes the layers, round them, train them as they are now, and compare."""

from __future__ import annotations

from dataclasses import asdict

from agentforge.data.splits import Split
from agentforge.kit import ranks
from agentforge.kit.audience import Audience
from agentforge.kit.context import PhaseContext
from agentforge.models.ternary.linear import Mode
from agentforge.phase4_bitnet.calibration import Layer, calibrate, modes_of, sensitivities
from agentforge.phase4_bitnet.config import BitNetConfig
from agentforge.phase4_bitnet.judging import FINETUNED, INPUT, ROUNDED, Judged, judge
from agentforge.phase4_bitnet.packing import packed_numbers
from agentforge.phase4_bitnet.publish import Made, publish
from agentforge.phase4_bitnet.rounds import finetune
from agentforge.phase4_bitnet.start import Start, load_start
from agentforge.train.machine import settled


def run(context: PhaseContext, config: BitNetConfig) -> None:
    with settled(config.train):
        start = load_start(context.inputs.one("model"), config)
        check_items(start)
        layers = calibration(context, start)
    modes = agreed(modes_of(layers))
    finetuned, curve = finetune(context, start, modes)
    if not ranks.leader_goes_on():
        return
    with settled(config.train):
        judged = judge(context, start, {INPUT: start.model, ROUNDED: start.ternary(modes), FINETUNED: finetuned})
        packed = packed_numbers(start, finetuned, judged.items, context.scratch)
        judged = Judged([*judged.measured, *packed], judged.items)
        publish(context, start, Made(finetuned, layers, curve), judged)


def agreed(modes: dict[str, Mode]) -> dict[str, Mode]:
    """Rank 0's: another machine may round otherwise, and all must train the same layers."""
    found = ranks.current().share({name: asdict(mode) for name, mode in modes.items()})
    return {name: Mode(**fields) for name, fields in found.items()}


def check_items(start: Start) -> None:
    """What is wrong with rows or a split is told before anything is measured."""
    start.rows()
    start.items(Split.SELECTION, start.config.evaluation.items)
    start.items(Split.TEST, start.config.evaluation.test_items)


def calibration(context: Audience, start: Start) -> list[Layer]:
    """Nothing of it depends on the training: a resumed run finds the same again."""
    config = start.config.calibration
    items = start.calibration(config.samples)
    if len(items) < config.samples:
        context.log(f"calibration has {len(items)} items: its split has no more of the {config.samples} asked for")
    context.progress(0, len(items), "samples", "calibration")
    layers = calibrate(start.model, start.codec, items, start.config.ternary, config)
    if config.sensitivity:
        few = items[:: max(1, len(items) // config.sensitivity)]
        layers = sensitivities(start.model, start.codec, few, layers, config.batch)
    for measurement in (one for layer in layers for one in layer.measured):
        context.measure(measurement)
    for layer in layers:
        if layer.was_ternary:
            context.log(f"{layer.name} is ternary already: its codes are taken as they are")
    context.sample("bitnet/layers", {"layers": [layer.record for layer in layers]})
    context.check_stop()
    return layers
