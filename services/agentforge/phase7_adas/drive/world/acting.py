"""Scripted behaviour: acts that begin when what they wait for has come."""

from __future__ import annotations

import math
from collections import deque

from agentforge.phase7_adas.drive.scenarios.script import Act, Actor, Heed, ToSide, ToSpeed, Until, Walk
from agentforge.phase7_adas.drive.truth import Kind
from agentforge.phase7_adas.drive.world.following import Along
from agentforge.phase7_adas.drive.world.users import Users

SPARE_S = 1.5
"""A walker who heeds wants this much more time than the crossing takes."""


class Acting:
    def __init__(self, actors: tuple[Actor, ...]) -> None:
        self._waiting = {n: deque(actor.acts) for n, actor in enumerate(actors) if actor.acts}
        self._began_s = dict.fromkeys(self._waiting, 0.0)

    def step(self, users: Users, ego: Along, now_s: float) -> None:
        for n in list(self._waiting):
            acts = self._waiting[n]
            if not self._due(acts[0], n, users, ego, now_s):
                continue
            if isinstance(acts[0].do, Walk) and acts[0].do.heeds and not may_cross(users, n, acts[0].do, ego):
                continue
            begin(acts.popleft(), n, users)
            self._began_s[n] = now_s
            if not acts:
                del self._waiting[n]

    def _due(self, act: Act, n: int, users: Users, ego: Along, now_s: float) -> bool:
        until, value = act.when.until, act.when.value
        if until is Until.TIME:
            return now_s >= value
        if until is Until.AFTER:
            return now_s >= self._began_s[n] + value
        away = float(users.s_N[n]) - ego.s_m
        between = abs(away) - float(users.reach_N2()[n, 0]) - ego.half_along_m
        if until is Until.GAP:
            return between <= value
        nearing = math.copysign(1.0, away) * (ego.onward_mps - float(users.onward_N()[n]))
        return nearing > 0.1 and between <= value * nearing


def begin(act: Act, n: int, users: Users) -> None:
    do = act.do
    if isinstance(do, ToSpeed):
        users.drives_N[n] = False
        users.until_mps_N[n] = do.speed_mps
        sign = 1.0 if do.speed_mps > users.speed_N[n] else -1.0
        users.want_accel_N[n] = sign * do.accel_mps2
        # brakes act at once: whoever scripts a braking of 8 m/s2 means it
        users.accel_N[n] = users.want_accel_N[n]
    elif isinstance(do, Heed):
        users.drives_N[n] = True
        users.wish_mps_N[n] = do.speed_mps
    elif isinstance(do, ToSide):
        users.want_d_N[n] = do.d_m
        users.side_s_N[n] = do.seconds / 4  # nine tenths of a critically damped step take 3.9 time constants
    else:
        users.want_d_N[n] = do.d_m
        users.lean_N[n] = math.copysign(math.pi / 2, do.d_m - float(users.d_N[n]))
        users.until_mps_N[n] = do.speed_mps
        users.want_accel_N[n] = 3.0


def arrive(users: Users) -> None:
    """Walkers who are where they wanted to be stand still."""
    there = users.walks_N & (users.speed_N > 0) & ((users.want_d_N - users.d_N) * users.lean_N <= 0)
    users.speed_N[there] = users.accel_N[there] = users.want_accel_N[there] = users.until_mps_N[there] = 0.0


def may_cross(users: Users, n: int, walk: Walk, ego: Along) -> bool:
    """Nobody on wheels comes before the walker is across; who stands, or cannot be there, lets it go."""
    takes_s = abs(walk.d_m - float(users.d_N[n])) / walk.speed_mps + SPARE_S
    place = float(users.s_N[n])
    for away, onward in [(place - ego.s_m, ego.onward_mps), *_wheels(users, n)]:
        nearing = math.copysign(1.0, away) * onward
        if nearing > 0.5 and abs(away) < takes_s * nearing:
            return False
    return True


def _wheels(users: Users, n: int) -> list[tuple[float, float]]:
    onward = users.onward_N()
    wheeled = (users.kind_N == Kind.VEHICLE) | (users.kind_N == Kind.CYCLIST)
    return [
        (float(users.s_N[n] - users.s_N[m]), float(onward[m])) for m in wheeled.nonzero()[0] if onward[m] and m != n
    ]
