"""The cheapest candidate that hits nothing: contacts are looked for only among those that can still win."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.planning.collision import Bools, contacts, inflation
from agentforge.phase7_adas.drive.planning.cost import near_costs
from agentforge.phase7_adas.drive.planning.lattice import Lattice
from agentforge.phase7_adas.drive.planning.obstacles import Obstacles
from agentforge.phase7_adas.drive.planning.settings import Settings
from agentforge.phase7_adas.drive.truth import Floats

FIRST_ROWS = 12
"""Ways along that are looked at first: mostly no other can win."""


def cheapest(
    lattice: Lattice, least_AB: Floats, ego_s: float, ego_d: float, around: Obstacles, by: Settings
) -> tuple[Floats, int]:
    """Costs (A, B), infinite for what hits something or cannot win; and how many of those looked at hit.

    `least_AB`: costs without who is near, which only add to them; infinite for what is refused. A way along all of
    whose candidates cost more than one that is free needs no look, so the cheapest is that of all.
    """
    lowest = least_AB.min(axis=1)
    order = np.argsort(lowest, kind="stable")
    cost = np.full(least_AB.shape, np.inf)
    hits, best = 0, np.inf
    grown = inflation(around, ego_s, ego_d) if len(around) else None
    for some in (order[:FIRST_ROWS], order[FIRST_ROWS:]):
        rows = np.sort(some[(lowest[some] <= best) & (lowest[some] < np.inf)])
        if len(rows) == 0:
            break
        found = contacts(lattice.rows(rows), ego_s, ego_d, around, by, grown)
        hit: Bools = np.isfinite(found.hit_at_AB)
        cost[rows] = np.where(hit, np.inf, least_AB[rows] + near_costs(found))
        hits, best = hits + int(np.count_nonzero(hit)), float(cost.min())
    return cost, hits
