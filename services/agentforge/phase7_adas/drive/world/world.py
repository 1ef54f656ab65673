"""The world: steps of 10 ms in which the ego obeys a command and everybody else does what people do."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario
from agentforge.phase7_adas.drive.truth import LENGTH, WIDTH, Bodies, Floats, Truth, X, Y
from agentforge.phase7_adas.drive.world.acting import Acting, arrive
from agentforge.phase7_adas.drive.world.blame import Blame, Collision
from agentforge.phase7_adas.drive.world.boxes import touch
from agentforge.phase7_adas.drive.world.changing import Changing
from agentforge.phase7_adas.drive.world.ego import EgoBody
from agentforge.phase7_adas.drive.world.following import Along, follow
from agentforge.phase7_adas.drive.world.limits import EGO_SIZE, grip_mps2
from agentforge.phase7_adas.drive.world.users import Users

STEP_US: Final = 10_000
DECIDE_EVERY: Final = 5
"""Steps between decisions of the other road users."""
CHANGE_EVERY: Final = 50
NEAR_M: Final = 12.0
"""Boxes whose centres are farther apart do not touch: the longest is a lorry of less than 10 m."""
SOON_M: Final = 6.0
"""What two bodies can near each other between decisions, at 60 m/s each."""


class World:
    """Deterministic: the same scenario, seed and commands give the same bytes.

    Collisions are looked for every DECIDE_EVERY steps and told with the step in which they were. After one the run
    is `over`: what an impact does to cars is not modelled.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario, self.seed = scenario, seed
        self.road = scenario.road
        self.lane = scenario.ego.lane if scenario.lane is None else scenario.lane
        self.t_us = 0
        self.collisions: list[Collision] = []
        self.off_road_us = 0
        """How long a corner of the ego was beside the road."""
        start = scenario.ego
        s, d = np.array([start.s_m]), np.array([self.road.lane_centre_d(start.lane)])
        x, y = self.road.to_world(s, d)[0]
        grip = grip_mps2(scenario.weather.rain)
        self._ego = EgoBody(float(x), float(y), float(self.road.heading(s)[0]), start.speed_mps, grip)
        self._size = np.array(EGO_SIZE)
        self._users = Users(scenario.actors, start.s_m, self.road, seed)
        self._acting, self._changing = Acting(scenario.actors), Changing(scenario.actors)
        self._blame = Blame(self._users.count, grip)
        self._steps = 0
        self._egos: list[Floats] = []
        self._states = self._users.states_N6()
        self._decide()

    @property
    def over(self) -> bool:
        return bool(self.collisions) or self.t_us >= self.scenario.seconds * 1e6

    def truth(self) -> Truth:
        users = self._users
        others = Bodies(users.id_N, users.kind_N, self._states, users.size_N3)
        return Truth(self.t_us, self._ego.state_6(), self._size, others, self.scenario.weather)

    def step(self, command: Command) -> None:
        part = self._steps % DECIDE_EVERY
        if part == 0:
            if self._steps:
                self._decide()
            self._next, self._egos = self._users.advance(DECIDE_EVERY, STEP_US / 1e6), []
            arrive(self._users)
        self._ego.step(command, STEP_US / 1e6)
        self._states = self._next[part]
        self._steps += 1
        self.t_us += STEP_US
        self._egos.append(self._ego.state_6())
        if self._near and (part == DECIDE_EVERY - 1 or self.over):
            self._collide()

    def _decide(self) -> None:
        ego, now_s = self._along(), self.t_us / 1e6
        self._near = bool((np.abs(self._users.s_N - ego.s_m) < NEAR_M + SOON_M).any())
        self._blame.watch(self._users, ego, now_s)
        if not self._users.count:
            return
        self._acting.step(self._users, ego, now_s)
        if self._steps % CHANGE_EVERY == 0:
            self._changing.step(self._users, ego, now_s)
        follow(self._users, ego)

    def _along(self) -> Along:
        """Where the ego is on the road; also counts the time that it is beside it."""
        body = self._ego
        s, d = self.road.to_road(np.array([[body.x_m, body.y_m]]))
        lean = math.remainder(body.heading_rad - float(self.road.heading(s)[0]), math.tau)
        cos, sin = abs(math.cos(lean)), abs(math.sin(lean))
        half_along = (EGO_SIZE[LENGTH] * cos + EGO_SIZE[WIDTH] * sin) / 2
        half_across = (EGO_SIZE[LENGTH] * sin + EGO_SIZE[WIDTH] * cos) / 2
        if self._steps and not half_across <= float(d[0]) <= self.road.width_m - half_across:
            self.off_road_us += DECIDE_EVERY * STEP_US
        return Along(float(s[0]), float(d[0]), lean, body.speed_mps, half_along, half_across)

    def _collide(self) -> None:
        """Of the steps since the last decision, all at once."""
        users, egos = self._users, np.array(self._egos)
        states = self._next[: len(egos)]
        away = np.abs(states[..., [X, Y]] - egos[:, None, [X, Y]]).max(axis=2)
        part, row = np.nonzero(away < NEAR_M)
        hit = touch(egos[part], self._size, states[part, row], users.size_N3[row])
        for k, n in zip(part[hit], row[hit], strict=True):
            other, t_us = int(users.id_N[n]), self.t_us - (len(egos) - 1 - int(k)) * STEP_US
            if all(known.other != other for known in self.collisions):
                self.collisions.append(self._blame.collided(int(n), t_us, egos[k], states[k, n], other))
