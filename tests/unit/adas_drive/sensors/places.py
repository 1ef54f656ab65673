"""Truths put together by hand."""

import numpy as np

from agentforge.phase7_adas.drive.truth import Bodies, Kind, Truth, Weather

SIZES = {
    Kind.VEHICLE: (4.5, 1.8, 1.5),
    Kind.CYCLIST: (1.8, 0.6, 1.75),
    Kind.PEDESTRIAN: (0.5, 0.5, 1.75),
    Kind.OBSTACLE: (0.8, 0.8, 0.6),
}


def truth(
    *bodies: tuple[Kind, float, float, float], t_us: int = 0, speed: float = 10.0, weather: Weather | None = None
) -> Truth:
    """Bodies as kind, metres ahead, metres left, speed along x; the ego stands at (100, 50) and looks along x."""
    ego = np.array([100.0, 50.0, 0.0, speed, 0.0, 0.0])
    state = np.array([[100.0 + x, 50.0 + y, 0.0, v, 0.0, 0.0] for _, x, y, v in bodies]).reshape(-1, 6)
    size = np.array([SIZES[kind] for kind, *_ in bodies]).reshape(-1, 3)
    kinds = np.array([int(kind) for kind, *_ in bodies], dtype=np.int64)
    others = Bodies(np.arange(1, len(bodies) + 1, dtype=np.int64), kinds, state, size)
    return Truth(t_us, ego, np.array([4.5, 1.8, 1.5]), others, weather or Weather())
