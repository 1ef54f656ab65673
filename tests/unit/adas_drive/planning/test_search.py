"""What is looked at first, or not at all, changes nothing: against a look at every candidate."""

from __future__ import annotations

import numpy as np
import pytest

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.planning.collision import Contacts, contacts
from agentforge.phase7_adas.drive.planning.cost import near_costs
from agentforge.phase7_adas.drive.planning.frenet import Beside
from agentforge.phase7_adas.drive.planning.lattice import Lattice, lattice, sideways, speeds_and_stops
from agentforge.phase7_adas.drive.planning.line import line_of
from agentforge.phase7_adas.drive.planning.obstacles import Obstacles, obstacles
from agentforge.phase7_adas.drive.planning.search import FIRST_ROWS, cheapest
from agentforge.phase7_adas.drive.planning.settings import NORMAL
from agentforge.phase7_adas.drive.road import Road
from tests.unit.adas_drive.planning.bench import straight
from tests.unit.adas_drive.planning.roads import tracks

BEND = Road(((90.0, 0.0), (150.0, 1 / 120), (500.0, 0.0)), lanes=3, oncoming=1)
S, D = 60.0, 1.75


def _drawn(seed: int) -> tuple[Lattice, Obstacles]:
    """Some ways of an ego, and others about it: few or many, near or far, slow, fast and against it."""
    rng = Rng(seed, "tests/planning/search").numpy()
    many = int(rng.integers(0, 9))
    s, d = rng.uniform(S - 30.0, S + 90.0, many), rng.uniform(-3.0, 11.0, many)
    heading, speed = BEND.heading(s), rng.uniform(-14.0, 14.0, many) * (rng.random(many) > 0.3)
    xy, lean = BEND.to_world(s, d), heading + rng.normal(0.0, 0.1, many)
    rows = np.stack([xy[:, 0], xy[:, 1], speed * np.cos(lean), speed * np.sin(lean)], axis=1)
    there = tracks(0, *(tuple(row) for row in rows.tolist()))
    start = Beside(np.array([S, rng.uniform(0.0, 15.0), rng.uniform(-2, 1)]), np.array([D, 0.02, 0.0]))
    along = speeds_and_stops(start.along_3, 13.0)
    across = sideways(start, np.array([1.3, 1.75, 2.2, 5.25]), float(start.along_3[1]))
    line = line_of(BEND)
    return lattice(line, along, across), obstacles(line, S, D, there, straight(there), NORMAL)


@pytest.mark.parametrize("seed", range(40))
def test_the_cheapest_is_that_of_a_look_at_all(seed: int) -> None:
    made, around = _drawn(seed)
    rng = Rng(seed, "tests/planning/least").numpy()
    shape = made.d_JAB.shape[1:]
    least = np.where(rng.random(shape) < 0.3, np.inf, rng.uniform(0.0, 8.0, shape))
    found = contacts(made, S, D, around, NORMAL)
    every = np.where(np.isfinite(found.hit_at_AB), np.inf, least + near_costs(found))
    cost, hits = cheapest(made, least, S, D, around, NORMAL)
    assert cost.argmin() == every.argmin()
    assert cost.min() == pytest.approx(every.min(), rel=1e-12)
    looked = np.isfinite(cost)
    assert np.allclose(cost[looked], every[looked], rtol=1e-12)
    assert hits <= np.count_nonzero(np.isfinite(found.hit_at_AB))


def test_the_draws_reach_both_looks() -> None:
    """Else the test above would show less than it says."""
    looked = []
    for seed in range(40):
        made, around = _drawn(seed)
        least = np.zeros(made.d_JAB.shape[1:]) + np.arange(made.d_JAB.shape[1])[:, None] / 10.0
        cost, hits = cheapest(made, least, S, D, around, NORMAL)
        looked.append(np.isfinite(cost[FIRST_ROWS:]).any() or hits > FIRST_ROWS * cost.shape[1])
    assert 5 < sum(looked) < 40


def test_a_way_s_contacts_do_not_depend_on_the_others_beside_it() -> None:
    """Triples are dropped by the extents of all candidates: none may be missing that a way alone would have."""
    touched = 0
    for seed in range(12):
        made, around = _drawn(seed)
        found = contacts(made, S, D, around, NORMAL)
        for row in range(made.d_JAB.shape[1]):
            alone = contacts(made.rows(np.array([row])), S, D, around, NORMAL)
            for name, value in vars(alone).items():
                assert np.allclose(getattr(found, name)[row], value[0], rtol=1e-12, atol=1e-15), (seed, row, name)
            touched += int(np.isfinite(alone.hit_at_AB).sum())
    assert touched > 50


def test_nothing_near_costs_nothing() -> None:
    free: Contacts = contacts(_drawn(0)[0], S, D, _none(), NORMAL)
    assert not near_costs(free).any()
    assert np.isinf(free.hit_at_AB).all()


def _none() -> Obstacles:
    there = tracks(0)
    return obstacles(line_of(BEND), S, D, there, straight(there), NORMAL)
