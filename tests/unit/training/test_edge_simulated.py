"""The controller against a SIMULATED learner: a test of the controller, whose numbers are reported nowhere.

The learner is right with a probability that is logistic in (skill - difficulty), and its skill rises with every
practice of what it neither knows nor is lost with.
"""

from __future__ import annotations

import functools
import math
import statistics
from dataclasses import dataclass

import pytest
from numpy.random import Generator

from agentforge.kit.rng import Rng
from agentforge.phase5_training.configs.edge import EdgeConfig
from agentforge.phase5_training.edge import Counts, Difficulties, Mix, difficulties

SEEDS = range(20)
ROUNDS = 160  # measurements in the training
SETTLING = 10  # of them: from this step on it is counted


@dataclass(frozen=True)
class Shape:
    """Of a simulated family: success falls from 73 to 27 % along two widths of difficulty."""

    levels: range
    width: float
    speed: float  # skill gained from one measurement to the next, at the most


SHAPES = {
    "steep": Shape(range(1, 17), 0.4, 0.06),
    "short": Shape(range(1, 4), 0.3, 0.008),
    "middling": Shape(range(1, 33), 1.5, 0.12),
    "flat": Shape(range(1, 65), 5.0, 0.25),
}  # fmt: skip


class SimulatedLearner:
    def __init__(self, begins: float) -> None:
        """`begins`: the share of each range that it is up to already."""
        self.skill = {name: begins * shape.levels[-1] + 1 for name, shape in SHAPES.items()}

    def success(self, family: str, mix: Mix) -> float:
        return math.fsum(weight * self._one(family, level) for level, weight in mix.items())

    def asked(self, family: str, mix: Mix, items: int, chance: Generator) -> Counts:
        shares = chance.multinomial(items, list(mix.values())).tolist()
        return {
            level: (int(chance.binomial(count, self._one(family, level))), count)
            for level, count in zip(mix, shares, strict=True)
            if count
        }

    def practise(self, family: str, mix: Mix) -> None:
        rights = {level: self._one(family, level) for level in mix}
        useful = math.fsum(weight * 4 * rights[level] * (1 - rights[level]) for level, weight in mix.items())
        self.skill[family] += SHAPES[family].speed * useful

    def _one(self, family: str, level: int) -> float:
        return 1 / (1 + math.exp((level - self.skill[family]) / SHAPES[family].width))


@dataclass
class Told:
    controller: Difficulties
    true: dict[str, list[float]]  # success of every measurement, without its noise


def simulated(kind: str, seed: int, *, begins: float = 0.1, jump: bool = False) -> Told:
    """A training as SteeredBatches does it; with `jump` the skill gains 0.3 of the range at half the time."""
    config = EdgeConfig(kind=kind)  # type: ignore[arg-type]
    controller = difficulties(config, {name: shape.levels for name, shape in SHAPES.items()}, ROUNDS)
    learner, chance = SimulatedLearner(begins), Rng(seed, "training/simulated").numpy()
    told = Told(controller, {name: [] for name in SHAPES})
    for step in [0] * (config.settling - 1) + list(range(ROUNDS)):
        for name, shape in SHAPES.items():
            mix = controller.mix(name)
            success = learner.success(name, mix)
            controller.observe(name, learner.asked(name, mix, config.items, chance), step=step)
            told.true[name].append(success)
            if step:
                learner.practise(name, controller.mix(name))
            if jump and step == ROUNDS // 2:
                learner.skill[name] += 0.3 * (shape.levels[-1] - 1)
    return told


@functools.cache
def all_seeds(kind: str, begins: float) -> list[Told]:
    return [simulated(kind, seed, begins=begins) for seed in SEEDS]


@functools.cache
def jumping() -> list[Told]:
    return [simulated("edge", seed, jump=True) for seed in SEEDS]


def truly_in_band(told: Told, family: str) -> float:
    counted = told.true[family][-(ROUNDS - SETTLING) :]
    return statistics.fmean(0.55 <= success <= 0.75 for success in counted)


@pytest.mark.parametrize("begins", [0.1, 0.4])
@pytest.mark.parametrize("family", SHAPES)
def test_a_simulated_learner_is_held_in_the_band(family: str, begins: float) -> None:
    """As measured, noise included, and in truth; for each of the seeds, not on average."""
    for told in all_seeds("edge", begins):
        assert told.controller.time_in_band(family, since=SETTLING) >= 0.8
        assert truly_in_band(told, family) >= 0.8


@pytest.mark.parametrize("begins", [0.1, 0.4])
@pytest.mark.parametrize("kind", ["uniform", "easy_to_hard"])
def test_the_same_simulated_learner_is_not_held_there_by_others(kind: str, begins: float) -> None:
    """Over all families: who knows two difficulties of three is in the band of their even mix by chance."""
    assert max(told.controller.time_in_band(since=SETTLING) for told in all_seeds(kind, begins)) < 0.5


@pytest.mark.parametrize("family", SHAPES)
def test_a_simulated_learner_that_jumps_is_followed(family: str) -> None:
    """From twelve measurements after the jump it is in the band again, for 20 of them."""
    found = []
    for told in jumping():
        curve = [point for point in told.controller.curve if point["family"] == family]
        jumped = [point["success"] for point in curve if point["step"] == ROUNDS // 2 + 1]
        assert jumped[0] > 0.75
        found += [0.55 <= p["success"] <= 0.75 for p in curve if 12 < p["step"] - ROUNDS // 2 <= 32]
    assert statistics.fmean(found) >= 0.8
