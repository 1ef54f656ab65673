"""Pictures in words: captions, and descriptions for those who hear them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agentforge.phase7_adas.drive.truth import HEADING, SPEED, Kind, to_ego
from agentforge.phase7_adas.drive.view.moment import Moment

NAMES = {Kind.VEHICLE: "vehicle", Kind.CYCLIST: "cyclist", Kind.PEDESTRIAN: "pedestrian", Kind.OBSTACLE: "obstacle"}


def mode_word(moment: Moment) -> str:
    return moment.mode.name.lower().replace("_", " ")


def seconds(moment: Moment) -> str:
    return f"{moment.t_us / 1e6:.1f} s"


def nearest_m(moment: Moment) -> tuple[float, int]:
    """Distance between the centres of the ego and the nearest body, and its row; infinite with nobody there."""
    if not len(moment.others):
        return math.inf, -1
    away = np.hypot(*(moment.others.state_N6[:, :2] - moment.ego_6[:2]).T)
    row = int(np.argmin(away))
    return float(away[row]), row


def sentence(moment: Moment) -> str:
    """One instant: speed, mode, who is nearest and where."""
    said = f"At {seconds(moment)} the ego drives {moment.ego_6[SPEED]:.1f} m/s, mode {mode_word(moment)}"
    away, row = nearest_m(moment)
    if row < 0:
        return f"{said}; nobody else is there."
    x, y = to_ego(moment.others.state_N6[row : row + 1, :2], moment.ego_6)[0]
    kind = NAMES[Kind(int(moment.others.kind_N[row]))]
    note = f" {moment.note}." if moment.note else ""
    return f"{said}; the nearest is a {kind} {away:.0f} m away, {_where(float(x), float(y))}.{note}"


def _where(x: float, y: float) -> str:
    sector = round(math.atan2(y, x) / (math.pi / 4)) % 8
    return ("ahead", "ahead left", "left", "behind left", "behind", "behind right", "right", "ahead right")[sector]


def description(moments: Sequence[Moment]) -> str:
    return " ".join(sentence(moment) for moment in moments)


def heading_deg(moment: Moment) -> float:
    return math.degrees(float(moment.ego_6[HEADING]))
