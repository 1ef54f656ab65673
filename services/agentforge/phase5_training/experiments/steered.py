"""The trainings of `controller`: the phase's own, from one start that knows easy items, steered in three ways."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentforge.kit.config import validate_config
from agentforge.kit.inputs import InputPath
from agentforge.models.ternary.record import save
from agentforge.phase5_training.config import TrainingConfig
from agentforge.phase5_training.edge import Difficulties, Uniform
from agentforge.phase5_training.experiments.learner import (
    Levels,
    Watching,
    codec_for,
    fresh,
    held_out,
    right,
    rows,
    taught,
)
from agentforge.phase5_training.rows import Measuring, SteeredBatches, answering
from agentforge.phase5_training.start import Start, load_start
from agentforge.phase5_training.training import supervised
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Training
from agentforge.train.machine import settled

_LENGTH = 64
_VOCABULARY = 312
_OFF: dict[str, Any] = {
    "selfmodel": {"weight": 0.0}, "dreams": {"every": 0}, "rewards": {"steps": 0},
}  # fmt: skip


def begun(directory: Path, families: Levels, *, seed: int, steps: int) -> None:
    """A ternary model that was taught the easy items."""
    codec = codec_for(families, _VOCABULARY)
    model = fresh("ternary", codec, seed)
    sources = [rows(codec, name, levels, _LENGTH, seed) for name, levels in families.items()]
    config = TrainConfig(
        steps=steps, batch=64, embedding_lr=1e-3, schedule="constant", warmup=0, threads=1, checkpoint_every=0
    )
    taught(model, codec, sources, config, seed)
    save(directory, model)
    codec.tokenizer.save_pretrained(directory)


def steered(
    directory: Path, families: Levels, edge: Mapping[str, Any], *, seed: int, steps: int, items: int, muon_lr: float
) -> dict[str, Any]:
    """`items`: held out, of each difficulty. What is measured on the way never changes what is learned."""
    values = {
        "seed": seed, **_OFF, "edge": edge, "data": {"families": families, "length": _LENGTH},
        "train": {
            "steps": steps, "batch": 64, "threads": 1, "checkpoint_every": 0, "evaluate_every": 0, "patience": 0,
            "muon_lr": muon_lr,
        },
    }  # fmt: skip
    start = load_start(InputPath("model", "model", directory, ""), validate_config(TrainingConfig, values))
    training = supervised(start, lambda _: None)
    asking, controller = _asking(start, training)

    def watch(step: int) -> None:
        if asking is not None and step % start.config.edge.every == 0 and step < steps:
            asking(step)

    training.run(Watching(watch))
    with settled(start.config.train):
        test = held_out(families, items, seed)
        assert training.evaluate is not None
        return {
            "curve": controller.curve,
            "accuracy": {name: right(training.model, start.codec, each) for name, each in test.items()},
            "loss": training.evaluate().value,
        }


def _asking(start: Start, training: Training) -> tuple[Measuring | None, Difficulties]:
    """Where nothing is steered, nothing is measured: so it is done here, of an even mix of all difficulties."""
    batches: Any = training.loader
    if isinstance(batches.loader, SteeredBatches):
        return None, batches.loader.measure.controller
    config = start.config
    controller = Uniform(config.edge, config.data.families)
    answer = answering(training.model, start.codec, config.evaluation.batch)
    return Measuring(controller, answer, config.seed), controller
