"""Who drove beside the ego and left its view: no change of lanes goes to where one may still be.

All sensors look ahead: of who came from behind and was never in view nothing is known, and none could tell of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.messages import Tracks
from agentforge.phase7_adas.drive.planning.line import Line
from agentforge.phase7_adas.drive.planning.obstacles import UNSURE_US, Placed, placed
from agentforge.phase7_adas.drive.planning.settings import EGO_LENGTH_M
from agentforge.phase7_adas.drive.truth import LENGTH, WIDTH, Kind

NEAR_M: Final = 30.0
"""Nobody further away, along the road, is beside the ego before long."""
LEFT_M: Final = 12.0
"""Less far ahead of the ego's middle, a body in the next lane may be out of view."""
LONGEST_US: Final = 15_000_000
DRIFT_MPS: Final = 1.0
"""How much faster or slower than when it was seen."""
CHANGE_S: Final = 3.0
"""A change of lanes takes about as long; who may be level by then counts."""
MARGIN_M: Final = 1.5
ALIKE_M: Final = 5.0


@dataclass(frozen=True)
class _Body:
    seen_us: int
    told_us: int
    """When `s` was so: the last time that a track said it."""
    s: float
    low_d: float
    high_d: float
    mps: float
    half_m: float

    def place(self, t_us: int) -> float:
        return self.s + self.mps * (t_us - self.told_us) / 1e6

    def doubt(self, t_us: int) -> float:
        return DRIFT_MPS * (t_us - self.seen_us) / 1e6


class Unseen:
    def __init__(self) -> None:
        self._bodies: dict[int, _Body] = {}

    def step(self, t_us: int, tracks: Tracks, line: Line, ego_s: float, at: Placed | None = None) -> None:
        """Take in the vehicles that are told of; forget who was seen too long ago, or must be elsewhere.

        `at`: where the tracks are, if that is known already.
        """
        told = _vehicles(tracks, at or placed(line, tracks), ego_s)
        kept = {}
        for name, body in self._bodies.items():
            off = body.place(t_us) - ego_s
            # ahead it would be seen again, if it were there: as this track or as another
            gone = name not in told and -NEAR_M < off < LEFT_M and t_us - body.seen_us < LONGEST_US
            if gone and not any(_one_body(body, other, t_us) for other in told.values()):
                kept[name] = body
        self._bodies = kept | told

    def barred(self, t_us: int, ego_s: float, ego_mps: float, lane_width_m: float) -> set[int]:
        """Lanes where one of them may be level with the ego now, or before a change of lanes is over."""
        lanes: set[int] = set()
        for body in self._bodies.values():
            if t_us - body.seen_us < UNSURE_US:
                continue  # seen: how it goes on is predicted, and the way is checked against it
            reach = body.half_m + EGO_LENGTH_M / 2 + MARGIN_M + body.doubt(t_us)
            off = body.place(t_us) - ego_s
            later = off + (body.mps - ego_mps) * CHANGE_S
            if max(off, later) > -reach and min(off, later) < reach:
                lanes.update(range(int(body.low_d // lane_width_m), int(body.high_d // lane_width_m) + 1))
        return lanes


def _vehicles(tracks: Tracks, at: Placed, ego_s: float) -> dict[int, _Body]:
    s_N, d_N, along_N = at.s_N, at.d_N, at.along_N
    near_N = (tracks.kind_N == int(Kind.VEHICLE)) & (np.abs(s_N - ego_s) < NEAR_M)
    half_N2 = tracks.size_N3[:, [LENGTH, WIDTH]] / 2
    return {
        int(tracks.id_N[n]): _Body(
            tracks.t_us - int(tracks.unseen_us_N[n]), tracks.t_us, float(s_N[n]),
            float(d_N[n] - half_N2[n, 1]), float(d_N[n] + half_N2[n, 1]), float(along_N[n]), float(half_N2[n, 0]),
        )
        for n in near_N.nonzero()[0].tolist()
    }  # fmt: skip


def _one_body(gone: _Body, other: _Body, t_us: int) -> bool:
    """Another track has taken its place."""
    level = abs(other.place(t_us) - gone.place(t_us)) < ALIKE_M + gone.doubt(t_us)
    return level and other.low_d < gone.high_d and gone.low_d < other.high_d
