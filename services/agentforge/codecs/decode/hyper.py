"""Hyper-compression (arXiv 2409.00592): groups of weights as times of a trajectory that winds through a cube.

Of Python 3.8, with numpy alone. At time theta of 0 to nodes - 1 the trajectory is at frac(theta * a_k), where a_k
is direction_k / nodes: whole numbers decide where it is. Symbol theta + nodes * c is the point, from the centre,
times reach_c: class 0 is the cube around most groups, the others reach further, up to all of them.

    symbols  [N] of nodes * classes levels; groups follow the tensor's rows, filled up with the centre at the end
    centre   [group] float32
    reach    [classes] float32: half of a cube's side
"""

from __future__ import annotations

from math import gcd

import numpy as np

from ..payload import Broken, Payload
from .checks import matrix, only, whole
from .symbols import symbols, table

MOST_SYMBOLS = 1 << 16


def decode_hyper(payload: Payload) -> np.ndarray:
    group, nodes = whole(payload, "group", 1, 4), whole(payload, "nodes", 2, MOST_SYMBOLS)
    classes = whole(payload, "classes", 1, MOST_SYMBOLS // nodes)
    only(payload, "symbols", "centre", "reach")
    rows, columns = matrix(payload)
    size = rows * columns
    symbol_N = symbols(payload, "symbols", (-(-size // group),), nodes * classes).astype(np.int64)
    centre_K, reach = table(payload, "centre", (group,), "f4"), table(payload, "reach", (classes,), "f4")
    place_UK = trajectory(nodes, _direction(payload, group, nodes))
    w_NK: np.ndarray = place_UK[symbol_N % nodes] * reach[symbol_N // nodes, None] + centre_K
    return w_NK.reshape(-1)[:size].reshape(payload.shape)


def trajectory(nodes: int, direction: list[int]) -> np.ndarray:
    """[nodes, K] of -1…1: in each axis in the middles of as many equal parts as it has different places."""
    time_U = np.arange(nodes, dtype=np.int64)
    place_UK = np.stack([2 * (time_U * each % nodes) + gcd(each, nodes) - nodes for each in direction], 1)
    found: np.ndarray = place_UK.astype(np.float32) / np.float32(nodes)
    return found


def _direction(payload: Payload, group: int, nodes: int) -> list[int]:
    found = payload.settings.get("direction")
    if not isinstance(found, list) or len(found) != group or not all(type(each) is int for each in found):
        raise Broken(f"setting direction is {found!r}, and not {group} whole numbers")
    if not all(0 < each < nodes for each in found):
        raise Broken(f"setting direction is {found!r}, and not of 1 to {nodes - 1}")
    return found
