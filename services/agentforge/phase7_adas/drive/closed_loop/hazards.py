"""How soon the ego brakes for a hazard, by the truth: a need to brake that came up, until the command that answers.

Assumed: everybody keeps the velocity that they have, along the road and across it, and the ego its place across it;
the road's frame is taken for straight. Who so comes into the ego's strip (blame's) before the ego has passed is in
its way until they have left it. The need is the gentlest even deceleration that keeps the ego behind them: it
waits until they have left, or is as slow as they are, or stands, if they come towards it. Reaction time and the
brakes' lag are no part of it. That others will brake, stop or turn is not foreseen: the need rises as they do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agentforge.phase7_adas.drive.closed_loop.reasons import COMFORTABLE_MPS2
from agentforge.phase7_adas.drive.evidence.collector import Collector
from agentforge.phase7_adas.drive.orchestrator.pipeline import TICK_US
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import HEADING, LENGTH, SPEED, WIDTH, Floats, Truth
from agentforge.phase7_adas.drive.world.blame import ASIDE_M

HAZARD_MPS2 = COMFORTABLE_MPS2
BRAKES_MPS2 = 1.0
"""What counts as braking."""
GONE_MPS2 = 0.5
"""A need of less is none."""
CALM_US = 1_000_000
"""A need is new if it was less for so long."""
SUDDEN_US = 500_000
"""From GONE_MPS2 to BRAKES_MPS2 in less is sudden: for somebody who stands far ahead it takes seconds."""
_NEAREST_M, _STILL = 0.1, 1e-9


@dataclass
class Hazards:
    """Of one drive."""

    reactions_ms: list[float] = field(default_factory=list)
    """From a hazard's beginning to the command that brakes; of those that it did not foresee."""
    foreseen: int = 0
    """It braked already when they began."""
    passed: int = 0
    """The need was gone before it braked: by itself, or it steered."""
    unanswered: int = 0
    """It had not braked when the drive ended, with a collision or without."""


def needed_mps2(truth: Truth, road: Road) -> float:
    """The deceleration that keeps the ego from everybody ahead; 0 if none is needed."""
    if not len(truth.others):
        return 0.0
    state_N6, size_N3 = truth.others.state_N6, truth.others.size_N3
    speed, (ego_length, ego_width, _) = max(float(truth.ego_6[SPEED]), 0.0), truth.ego_size_3
    s, d = road.to_road(np.concatenate([truth.ego_6[None, :2], state_N6[:, :2]]))
    ahead, off = s[1:] - s[0], d[1:] - d[0]
    lean = state_N6[:, HEADING] - road.heading(s[1:])
    cos, sin, long, wide = np.cos(lean), np.sin(lean), size_N3[:, LENGTH] / 2, size_N3[:, WIDTH] / 2
    half_along = long * np.abs(cos) + wide * np.abs(sin) + ego_length / 2
    half_across = long * np.abs(sin) + wide * np.abs(cos) + ego_width / 2 + ASIDE_M
    onward = state_N6[:, SPEED] * cos
    enters, leaves = _inside_s(off, state_N6[:, SPEED] * sin, half_across)
    closing = np.maximum(speed - onward, _STILL)
    met = (ahead > 0) & (speed > onward) & (enters < (ahead + half_along) / closing)
    gap = np.maximum(ahead - half_along, _NEAREST_M)
    leaves = np.maximum(leaves, _STILL)  # who left already needs no waiting
    aim = np.maximum(onward, 0.0)  # who comes towards it is not out of the way before the ego stands
    slows = ((speed**2 - aim**2) / 2 - onward * (speed - aim)) / gap
    waits = 2 * (closing * leaves - gap) / leaves**2
    need = np.where(leaves * slows < speed - aim, waits, slows)
    return float(np.max(need, where=met, initial=0.0))


def _inside_s(off: Floats, aside_mps: Floats, half: Floats) -> tuple[Floats, Floats]:
    """When each comes into the strip and when it is out again: both negative if it left, or never will be there."""
    pace = np.maximum(np.abs(aside_mps), _STILL)
    there = np.where(aside_mps < 0, -off, off)  # along its own way across
    return (-half - there) / pace, (half - there) / pace


def hazards(collector: Collector) -> Hazards:
    """Of the ticks in which the pipeline drives: what is a hazard already when it takes over is not its own.

    One lasts from its beginning until the need is gone, however it rises and falls meanwhile.
    """
    found, need, count = Hazards(), collector.column("needed"), collector.count
    brakes, gone = -collector.column("commanded") >= BRAKES_MPS2, need < GONE_MPS2
    until = 0
    for k in range(CALM_US // TICK_US, count):
        if k < until or not _begins(need, k):
            continue
        until = k + int(gone[k:].argmax()) if gone[k:].any() else count
        if not brakes[k:until].any():
            found.passed += until < count
            found.unanswered += until == count
        elif brakes[k]:
            found.foreseen += 1
        else:
            found.reactions_ms.append(int(brakes[k:until].argmax()) * TICK_US / 1e3)
    return found


def _begins(need: Floats, k: int) -> bool:
    """Where the need is beyond what is comfortable; or where brakes are called for out of nothing. Who answers the
    second sort soon never comes to the first: by the first alone it would be judged by its late answers."""
    before = need[k - CALM_US // TICK_US : k].max()
    sudden = before < BRAKES_MPS2 <= need[k] and need[k - SUDDEN_US // TICK_US] < GONE_MPS2
    return bool(before < HAZARD_MPS2 <= need[k] or sudden)
