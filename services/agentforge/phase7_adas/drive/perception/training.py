"""Training of the camera's network on generated scenes: one thread, minutes, the same bytes for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.perception.net import Net
from agentforge.phase7_adas.drive.perception.scenes import scene
from agentforge.phase7_adas.drive.perception.targets import (
    CLASSES,
    OFF_COLUMN,
    boxes,
    crop_shape,
    cropped,
    target,
)
from agentforge.phase7_adas.drive.sensors.camera import Camera
from agentforge.phase7_adas.drive.sensors.spec import SPECS, CameraSpec

BOX_WEIGHT = 1.0
LEAST_STEPS = 20


@dataclass(frozen=True)
class Recipe:
    seed: int = 1
    scenes: int = 4000
    steps: int = 4000
    batch: int = 8
    rate: float = 2e-3

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.batch < 1 or self.steps < LEAST_STEPS or not self.rate > 0:
            raise InvalidInput(
                f"{self} is no recipe",
                field="recipe",
                next_step=f"At least one scene, one picture a batch, {LEAST_STEPS} steps, and a rate above zero.",
            )


@dataclass(frozen=True)
class Lessons:
    picture_N1HW: NDArray[np.uint8]
    heat_NCHW: NDArray[np.float16]
    asked_NHW: NDArray[np.bool_]
    box_N5HW: NDArray[np.float16]
    at_NHW: NDArray[np.bool_]


def lessons(recipe: Recipe, spec: CameraSpec = SPECS.camera) -> Lessons:
    """Pictures of the train split with what is to be told of them."""
    made = []
    for index in range(recipe.scenes):
        drawn = scene("train", recipe.seed, index)
        rng = Rng(recipe.seed, "adas/drive/perception/lesson", index).numpy()
        picture = cropped(Camera(spec, drawn.road).take(drawn.truth, rng))
        want = target(boxes(drawn.truth, spec), crop_shape(spec))
        made.append(
            (
                picture[None],
                want.heat_CHW.astype(np.float16),
                want.asked_HW > 0,
                want.box_5HW.astype(np.float16),
                want.at_HW > 0,
            )
        )
    return Lessons(*(np.stack(each) for each in zip(*made, strict=True)))


def train(
    recipe: Recipe, told: Callable[[int, float], None] = lambda step, loss: None, given: Lessons | None = None
) -> Net:
    """`told` hears the loss of each step."""
    learned = given or lessons(recipe)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train(recipe, learned, told)
    finally:
        torch.set_num_threads(threads)


def _train(recipe: Recipe, learned: Lessons, told: Callable[[int, float], None]) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Rng(recipe.seed, "adas/drive/perception/weights").seed)
        net = Net()
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=1e-4)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=recipe.steps, pct_start=0.1)
    rng = Rng(recipe.seed, "adas/drive/perception/batches").numpy()
    for step in range(recipe.steps):
        chosen = rng.integers(0, len(learned.picture_N1HW), recipe.batch)
        loss = loss_of(net, *_batch(learned, chosen, rng))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        plan.step()
        told(step, float(loss.detach()))
    return net.eval()


def _batch(learned: Lessons, chosen: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Half of them seen in a mirror, the brightness moved a little."""
    parts = [
        torch.from_numpy(each[chosen]).float()
        for each in (
            learned.picture_N1HW,
            learned.heat_NCHW,
            learned.asked_NHW,
            learned.box_N5HW,
            learned.at_NHW,
        )
    ]
    if rng.random() < 0.5:
        parts = [each.flip(-1) for each in parts]
        parts[3][:, OFF_COLUMN - len(CLASSES)] *= -1.0
    parts[0] = parts[0] * float(rng.uniform(0.8, 1.2))
    return tuple(parts)


def loss_of(net: Net, picture: Tensor, heat: Tensor, asked: Tensor, box: Tensor, at: Tensor) -> Tensor:
    """Focal loss on the heat, as in Objects as Points (Zhou et al.), and L1 on boxes where bodies are."""
    made = net.raw(picture)
    logit, told = made[:, : len(CLASSES)], made[:, len(CLASSES) :]
    probability = logit.sigmoid()
    peak = (heat > 0.999).float()
    hit = -peak * (1.0 - probability) ** 2 * functional.logsigmoid(logit)
    miss = -(1.0 - peak) * (1.0 - heat) ** 4 * probability**2 * functional.logsigmoid(-logit)
    many = at.sum().clamp(min=1.0)
    heat_loss = ((hit + miss) * asked[:, None]).sum() / many
    box_loss = ((told - box).abs() * at[:, None]).sum() / many
    return heat_loss + BOX_WEIGHT * box_loss
