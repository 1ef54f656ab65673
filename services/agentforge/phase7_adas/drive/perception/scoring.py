"""One sight's detections against its truth: what was found, what was missed, what is not there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.messages import Detections
from agentforge.phase7_adas.drive.perception.combine import Evidence
from agentforge.phase7_adas.drive.perception.matching import NOBODY, match, offsets
from agentforge.phase7_adas.drive.perception.scenes import Scene
from agentforge.phase7_adas.drive.sensors.geometry import view, visible
from agentforge.phase7_adas.drive.sensors.spec import SPECS, Specs
from agentforge.phase7_adas.drive.truth import LENGTH, WIDTH, Floats, Ints

LEAST_VISIBLE = 0.3
"""Bodies of which less is to be seen, from the camera's place, are not asked for."""
CAR_REACH_M = 2.4
FAR_M = 150.0


@dataclass(frozen=True)
class True_:
    """Bodies before the ego, from its centre."""

    xy_M2: Floats
    kind_M: Ints
    far_M: Floats
    reach_M: Floats
    asked_M: NDArray[np.bool_]
    """Visible, within FAR_M, and in the field of view that all sensors share."""


def truths(drawn: Scene, specs: Specs = SPECS) -> True_:
    seen = view(drawn.truth, 0.0, FAR_M + 60.0)
    eye = view(drawn.truth, specs.camera.mount_x_m, FAR_M + 60.0)
    part = np.zeros(len(seen))
    shown, _ = visible(eye, specs.camera.mount_z_m)
    part[np.isin(seen.index_N, eye.index_N)] = shown[np.isin(eye.index_N, seen.index_N)]
    far = np.hypot(seen.xy_N2[:, 0], seen.xy_N2[:, 1])
    half = specs.camera.field_of_view_rad / 2
    bearing = np.arctan2(seen.xy_N2[:, 1], seen.xy_N2[:, 0] - specs.camera.mount_x_m)
    reach = np.hypot(seen.size_N3[:, LENGTH], seen.size_N3[:, WIDTH]) / 2 - CAR_REACH_M
    asked = (part >= LEAST_VISIBLE) & (far <= FAR_M) & (np.abs(bearing) < half - 0.02) & (seen.xy_N2[:, 0] > 3.0)
    return True_(seen.xy_N2, seen.kind_N, far, reach, asked)


@dataclass(frozen=True)
class Scored:
    """Rows of asked bodies, then rows of detections; put together over sights by `joined`."""

    far_M: Floats
    kind_M: Ints
    confidence_M: Floats
    """Of its detection; zero if it has none."""
    kind_told_M: Ints
    """NOBODY if it has none."""
    far_D: Floats
    kind_D: Ints
    confidence_D: Floats
    there_D: NDArray[np.bool_]
    """Matched to any body, asked for or not."""
    error_D: Floats
    """Metres to its body; NaN without one."""


def score(told: Detections, true: True_) -> Scored:
    found = match(told.xy_N2, true.xy_M2, true.reach_M, told.confidence_N)
    hit = found != NOBODY
    confidence, kind = np.zeros(len(true.far_M)), np.full(len(true.far_M), NOBODY, dtype=np.int64)
    confidence[found[hit]] = told.confidence_N[hit]
    kind[found[hit]] = told.kind_N[hit]
    error = np.full(len(found), np.nan)
    error[hit] = np.hypot(*(told.xy_N2[hit] - true.xy_M2[found[hit]]).T)
    asked = true.asked_M
    far = np.hypot(told.xy_N2[:, 0], told.xy_N2[:, 1])
    return Scored(
        true.far_M[asked], true.kind_M[asked], confidence[asked], kind[asked],
        far, told.kind_N, told.confidence_N, hit, error,
    )  # fmt: skip


def joined(parts: list[Scored]) -> Scored:
    return Scored(
        *(np.concatenate([getattr(each, name) for each in parts]) for name in Scored.__dataclass_fields__)
    )


def labelled(evidence: Evidence, true: True_) -> tuple[NDArray[np.bool_], Floats]:
    """For fitting: which candidates are there, and how far off they are in their own spreads."""
    found = match(evidence.xy_N2, true.xy_M2, true.reach_M, evidence.naive_N)
    hit = found != NOBODY
    off = np.full((len(found), 2), np.nan)
    if hit.any():
        along, across = offsets(evidence.xy_N2, true.xy_M2)
        rows = np.nonzero(hit)[0]
        off[rows, 0] = along[rows, found[rows]] / evidence.radial_N[rows]
        off[rows, 1] = across[rows, found[rows]] / evidence.tangent_N[rows]
    return hit, off
