"""A sight of a random scene: each sensor's reading taken a little earlier, as they come in a running pipeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.agent import Sight
from agentforge.phase7_adas.drive.messages import Ego
from agentforge.phase7_adas.drive.perception.scenes import Scene, scene
from agentforge.phase7_adas.drive.readings import CameraReading, LidarReading, RadarReading, Stamp
from agentforge.phase7_adas.drive.sensors.camera import Camera
from agentforge.phase7_adas.drive.sensors.lidar import Lidar
from agentforge.phase7_adas.drive.sensors.radar import Radar
from agentforge.phase7_adas.drive.sensors.spec import SPECS, Specs

NOW_US = 1_000_000
AGES_US = {"camera": 45_000, "radar": 35_000, "lidar": 50_000}
SENSORS = ("camera", "radar", "lidar")


def sight(split: str, seed: int, index: int, specs: Specs = SPECS) -> tuple[Scene, Sight]:
    """The scene's truth stands at NOW_US; the ego's own state is given exactly."""
    drawn = scene(split, seed, index)
    taken = {name: NOW_US - age for name, age in AGES_US.items()}
    truths = {name: replace(drawn.at(-AGES_US[name]), t_us=taken[name]) for name in SENSORS}
    rngs = {name: Rng(seed, "adas/drive/perception/sight", split, index, name).numpy() for name in SENSORS}
    stamps = {name: Stamp(name, 0, taken[name], NOW_US) for name in SENSORS}
    image = Camera(specs.camera, drawn.road).take(truths["camera"], rngs["camera"])
    returns = Radar(specs.radar).take(truths["radar"], rngs["radar"])
    points = Lidar(specs.lidar).take(truths["lidar"], rngs["lidar"])
    ego = Ego(NOW_US, drawn.truth.ego_6, np.zeros((6, 6)), trusted=True)
    return drawn, Sight(
        NOW_US, ego, CameraReading(stamps["camera"], image), RadarReading(stamps["radar"], returns),
        LidarReading(stamps["lidar"], points),
    )  # fmt: skip


def only(given: Sight, *sensors: str) -> Sight:
    """What is left when all other sensors are silent."""
    return replace(
        given,
        camera=given.camera if "camera" in sensors else None,
        radar=given.radar if "radar" in sensors else None,
        lidar=given.lidar if "lidar" in sensors else None,
    )
