"""Find for each group of weights the time at which a trajectory through a cube is nearest.

The paper's own code winds so that its points are a grid of r by r, sheared by 1 / r: path "slanted". Path "lattice"
takes the whole direction whose nearest points are furthest apart, which in a plane is nearly the hexagonal lattice:
the best there is, and 4 % below a square grid in squared error.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

from agentforge.codecs.decode.hyper import trajectory
from agentforge.codecs.encode.settings import known, whole, word
from agentforge.codecs.encode.weights import as_matrix
from agentforge.codecs.payload import Payload, Stream
from agentforge.codecs.spec import Spec
from agentforge.kit.rng import Rng

Floats = npt.NDArray[np.float32]
Symbols = npt.NDArray[np.int64]

PATHS = ("lattice", "slanted")
# Groups inside the inner cube, tried on a sample; Gaussian pairs take 0.9 to 0.99.
INNER = (0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0)
SAMPLE = 4096
AT_ONCE = 1 << 22  # pairs of a group and a point
TRIES = 1 << 23  # pairs of a direction and a point


def encode_hyper(
    w_OI: np.ndarray, spec: Spec, *, gram: np.ndarray | None = None, rng: Rng | None = None
) -> Payload:
    """Needs neither gram nor rng. `bits`: of a symbol, so of `group` weights; `outer`: classes around the cube."""
    known(spec, "group", "bits", "outer", "path")
    group, bits = whole(spec, "group", 2, range(1, 5)), whole(spec, "bits", 12, range(2, 17))
    classes = 1 + whole(spec, "outer", 1, range((1 << bits) // 2))
    nodes, direction = _path(word(spec, "path", "lattice", PATHS), (1 << bits) // classes, group)
    w = as_matrix(w_OI, "hyper").reshape(-1)
    full_NK = w[: len(w) - len(w) % group].reshape(-1, group)
    centre_K = (full_NK if len(full_NK) else np.resize(w, (1, group))).mean(0, dtype=np.float64).astype(np.float32)
    padded = np.concatenate([w, np.resize(centre_K[len(w) % group :], -len(w) % group)])
    off_NK = padded.reshape(-1, group) - centre_K
    place_UK = trajectory(nodes, direction)
    reach = _fitted(off_NK, place_UK, classes)
    found = _nearest(off_NK, place_UK, reach)
    streams = {
        "symbols": Stream(found.astype(np.uint8 if nodes * classes <= 256 else np.uint16), nodes * classes),
        "centre": Stream(centre_K),
        "reach": Stream(reach),
    }
    settings = {"group": group, "nodes": nodes, "classes": classes, "direction": list(direction)}
    return Payload("hyper", w_OI.shape, settings, streams)


@lru_cache(maxsize=16)
def _path(name: str, most: int, group: int) -> tuple[int, list[int]]:
    """Points of the trajectory, at most so many; and its direction."""
    if group == 1:
        return most, [1]
    if name == "slanted":
        across = next(each for each in range(most, 0, -1) if each**group <= most)
        return max(across**group, 2), [max(across, 1) ** each % max(across**group, 2) or 1 for each in range(group)]
    steps = range(1, most, max(1, most * most // TRIES))
    best = max(steps, key=lambda step: (_spacing(most, step, group), -step) if gcd(step, most) == 1 else (0, 0))
    return most, [pow(best, each, most) for each in range(group)]


def _spacing(nodes: int, step: int, group: int) -> int:
    """Squared distance of the nearest two points, the cube's faces taken as joined."""
    time_U = np.arange(1, nodes, dtype=np.int64)
    place_UK = np.stack([time_U * pow(step, each, nodes) % nodes for each in range(group)], 1)
    return int(np.square(np.minimum(place_UK, nodes - place_UK)).sum(1).min())


def _fitted(off_NK: Floats, place_UK: Floats, classes: int) -> Floats:
    """Half sides of the cubes of all classes: the inner one of least error on a sample, the last one around all."""
    furthest = float(np.sqrt(np.square(off_NK.astype(np.float64)).sum(1)).max())
    largest_N = np.abs(off_NK).max(1)
    if classes == 1:
        return np.array([largest_N.max()], np.float32)
    sample_NK = off_NK[:: -(-len(off_NK) // SAMPLE)]
    best, least = np.zeros(classes, np.float32), np.inf
    for inner in np.quantile(largest_N, INNER):
        reach = np.linspace(inner, furthest, classes).astype(np.float32)
        found = _nearest(sample_NK, place_UK, reach)
        values = place_UK[found % len(place_UK)] * reach[found // len(place_UK), None]
        error = float(np.square(values - sample_NK, dtype=np.float64).sum())
        if error < least:
            best, least = reach, error
    return best


def _nearest(off_NK: Floats, place_UK: Floats, reach: Floats) -> Symbols:
    """Class 0 in the inner cube; outside it the first whose circle has the group."""
    far_N = np.sqrt(np.square(off_NK.astype(np.float64)).sum(1))
    kind_N = np.minimum(np.searchsorted(reach, far_N.astype(np.float32)), len(reach) - 1)
    kind_N = np.where(np.abs(off_NK).max(1) <= reach[0], 0, np.maximum(kind_N, min(1, len(reach) - 1)))
    inside_NK = off_NK / np.where(reach > 0, reach, 1)[kind_N, None]
    table_KU = np.concatenate([place_UK, -0.5 * np.square(place_UK).sum(1, keepdims=True)], 1).T
    wide_NK = np.pad(inside_NK, ((0, 0), (0, 1)), constant_values=1)
    rows = max(1, AT_ONCE // len(place_UK))
    parts = [(wide_NK[first : first + rows] @ table_KU).argmax(1) for first in range(0, len(wide_NK), rows)]
    found: Symbols = np.concatenate(parts) + kind_N * len(place_UK)
    return found
