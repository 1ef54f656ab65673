"""Things that move through the frames of a clip, and how SMIL says it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from agentforge.phase7_adas.drive.messages import VX, VY
from agentforge.phase7_adas.drive.truth import HEADING, LENGTH, WIDTH, Kind, X, Y
from agentforge.phase7_adas.drive.view import shapes
from agentforge.phase7_adas.drive.view.moment import Moment
from agentforge.phase7_adas.drive.view.shapes import n

Pose = tuple[float, float, float]


@dataclass
class Mover:
    """One body or track: its shape, and its pose in the frames in which it is there."""

    shape: str
    poses: dict[int, Pose] = field(default_factory=dict)


def movers(moments: Sequence[Moment]) -> list[Mover]:
    """The other bodies, the ego, then tracks; each in the order in which it first came."""
    found: dict[tuple[str, int], Mover] = {}
    for frame, moment in enumerate(moments):
        for key, shape, pose in (*_bodies(moment), *_tracks(moment)):
            found.setdefault(key, Mover(shape)).poses[frame] = pose
    order = {"body": 0, "ego": 1, "track": 2}
    return [found[key] for key in sorted(found, key=lambda key: order[key[0]])]


def _bodies(moment: Moment) -> Iterator[tuple[tuple[str, int], str, Pose]]:
    others = moment.others
    for known, kind, state, size in zip(others.id_N, others.kind_N, others.state_N6, others.size_N3, strict=True):
        shape = shapes.body_shape(int(kind), float(size[LENGTH]), float(size[WIDTH]))
        yield ("body", int(known)), shape, (float(state[X]), float(state[Y]), float(state[HEADING]))
    ego, size = moment.ego_6, moment.ego_size_3
    shape = shapes.body_shape(Kind.VEHICLE, float(size[LENGTH]), float(size[WIDTH]), ego=True)
    yield ("ego", 0), shape, (float(ego[X]), float(ego[Y]), float(ego[HEADING]))


def _tracks(moment: Moment) -> Iterator[tuple[tuple[str, int], str, Pose]]:
    if moment.tracks is None:
        return
    tracks = moment.tracks
    for known, mean, size in zip(tracks.id_N, tracks.mean_N4, tracks.size_N3, strict=True):
        if np.isfinite(mean).all() and np.isfinite(size).all():
            heading = shapes.track_heading(float(mean[VX]), float(mean[VY]), float(moment.ego_6[HEADING]))
            shape = shapes.track_shape(float(size[LENGTH]), float(size[WIDTH]))
            yield ("track", int(known)), shape, (float(mean[X]), float(mean[Y]), heading)


def moving(mover: Mover, frames: int, seconds: float) -> str:
    """While it is away it waits, unseen, where it was last, or will be first."""
    first = min(mover.poses)
    pose = mover.poses[first]
    poses = []
    for frame in range(frames):
        x, y, heading = mover.poses.get(frame, pose)
        # the short way round: no whirling from +pi to -pi
        pose = (x, y, pose[2] + math.remainder(heading - pose[2], math.tau))
        poses.append(pose)
    shift = transform("translate", [f"{n(x)} {n(y)}" for x, y, _ in poses], seconds)
    turn = transform("rotate", [n(math.degrees(heading)) for _, _, heading in poses], seconds)
    inner = f"{shift}<g>{turn}{mover.shape}</g>"
    return f"<g>{inner}</g>" if len(mover.poses) == frames else shown(inner, mover.poses, frames, seconds)


def transform(kind: str, values: list[str], seconds: float) -> str:
    if len(set(values)) == 1:
        values = values[:2]
    return (
        f'<animateTransform attributeName="transform" type="{kind}" dur="{n(seconds)}s" '
        f'repeatCount="indefinite" values="{";".join(values)}"/>'
    )


def shown(inner: str, when: Collection[int], frames: int, seconds: float) -> str:
    """Visible in these frames alone. The last frame is the clip's very end: the one before it lasts till then."""
    values, times = ["visible" if 0 in when else "hidden"], ["0"]
    for frame in range(1, frames - 1):
        word = "visible" if frame in when else "hidden"
        if word != values[-1]:
            values.append(word)
            times.append(f"{frame / (frames - 1):.5f}")
    keys = f'values="{";".join(values)}" keyTimes="{";".join(times)}"'
    animate = (
        f'<animate attributeName="visibility" calcMode="discrete" dur="{n(seconds)}s" '
        f'repeatCount="indefinite" {keys}/>'
    )
    return f'<g visibility="{values[0]}">{animate}{inner}</g>'
