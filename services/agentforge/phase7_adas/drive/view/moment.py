"""What a picture shows of one instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentforge.phase7_adas.drive.messages import Mode, Plan, Predictions, Tracks
from agentforge.phase7_adas.drive.truth import Bodies, Floats, Truth


@dataclass(frozen=True)
class Moment:
    t_us: int
    ego_6: Floats
    ego_size_3: Floats
    others: Bodies
    """What is really there."""
    tracks: Tracks | None = None
    """What the pipeline believes."""
    predictions: Predictions | None = None
    plan_xy_T2: Floats | None = None
    mode: Mode = Mode.NORMAL
    note: str = ""
    """One line below the picture: a fault, a collision."""


def moment(
    truth: Truth,
    tracks: Tracks | None = None,
    predictions: Predictions | None = None,
    plan: Plan | None = None,
    mode: Mode = Mode.NORMAL,
    note: str = "",
) -> Moment:
    plan_xy = None if plan is None else np.asarray(plan.states_T5[:, :2])
    return Moment(truth.t_us, truth.ego_6, truth.ego_size_3, truth.others, tracks, predictions, plan_xy, mode, note)
