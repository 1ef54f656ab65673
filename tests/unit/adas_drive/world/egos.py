"""Egos for tests: one that sees nothing, and one that sees everything and brakes in time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from agentforge.phase7_adas.drive.messages import Command
from agentforge.phase7_adas.drive.truth import HEADING, LENGTH, SPEED, WIDTH
from agentforge.phase7_adas.drive.world.world import World


def blind(world: World, speed_mps: float | None = None) -> Command:
    """Holds the middle of the route's lane, and this speed (the one it started with)."""
    state = world.truth().ego_6
    s, d = world.road.to_road(state[None, :2])
    look = max(float(state[SPEED]) * 0.8, 4.0)
    lean = math.remainder(float(state[HEADING] - world.road.heading(s)[0]), math.tau)
    aside = float(d[0]) - world.road.lane_centre_d(world.lane)
    aim = float(np.clip(-aside / (2 * look), -0.3, 0.3))
    bend = float(world.road.curvature(s + look / 4)[0]) + (aim - lean) * 2 / look
    wanted = world.scenario.ego.speed_mps if speed_mps is None else speed_mps
    return Command(float(np.clip((wanted - state[SPEED]) * 2, -9, 3)), bend)


def careful(world: World) -> Command:
    """Like the blind one, but brakes for whoever is in its way, or will be by the time it gets there."""
    truth = world.truth()
    ego, others = truth.ego_6, truth.others
    command = blind(world)
    if not len(others):
        return command
    xy = np.vstack([ego[None, :2], others.state_N6[:, :2]])
    s, d = world.road.to_road(xy)
    lean = others.state_N6[:, HEADING] - world.road.heading(s[1:])
    speed = float(ego[SPEED])
    onward, aside = others.state_N6[:, SPEED] * np.cos(lean), others.state_N6[:, SPEED] * np.sin(lean)
    cos, sin = np.abs(np.cos(lean)), np.abs(np.sin(lean))
    along = (others.size_N3[:, LENGTH] * cos + others.size_N3[:, WIDTH] * sin) / 2
    across = (others.size_N3[:, LENGTH] * sin + others.size_N3[:, WIDTH] * cos) / 2
    gap = s[1:] - s[0] - along - 2.3
    until = np.clip(gap / max(speed, 1.0), 0.0, 4.0)
    # any place between now and then counts
    offset = d[1:] - d[0]
    then = offset + aside * (until + 1.5)
    near = (np.minimum(offset, then) < across + 1.5) & (np.maximum(offset, then) > -across - 1.5)
    ahead = near & (s[1:] > s[0]) & (gap < 150)
    if not ahead.any():
        return command
    # who comes gets the room for its own way, too
    coming = np.minimum(onward, 0.0)
    room = np.maximum(gap - 2.5 + coming * 4.0, 0.1)
    excess = np.maximum(speed**2 - np.maximum(onward, 0.0) ** 2, 0.0)
    needed = float((excess / (2 * room))[ahead].max())
    too_near = ahead & (gap < 2.0 + speed * 0.8)
    if needed > 2.0 or too_near.any():
        return Command(-min(9.0, max(needed * 1.15, 2.5)), command.curvature_per_m)
    return command


def drive(world: World, driver: Callable[[World], Command]) -> World:
    command = driver(world)
    while not world.over:
        if world.t_us % 50_000 == 0:
            command = driver(world)
        world.step(command)
    return world


def drive_blind(world: World) -> World:
    return drive(world, blind)
