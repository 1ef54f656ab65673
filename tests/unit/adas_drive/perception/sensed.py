"""Readings and sights put together by hand, of truths put together by hand."""

import numpy as np

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.agent import Sight
from agentforge.phase7_adas.drive.messages import Ego
from agentforge.phase7_adas.drive.readings import CameraReading, LidarReading, RadarReading, Stamp
from agentforge.phase7_adas.drive.sensors.camera import Camera
from agentforge.phase7_adas.drive.sensors.lidar import Lidar
from agentforge.phase7_adas.drive.sensors.radar import Radar
from agentforge.phase7_adas.drive.sensors.spec import SPECS, RadarSpec
from agentforge.phase7_adas.drive.truth import Truth

NOW_US = 1_000_000


def sight(truth: Truth, age_us: int = 0, now: Truth | None = None) -> Sight:
    """All three sensors saw this truth `age_us` ago; `now` is the ego's truth of the sight, if it is another."""
    taken = NOW_US - age_us
    rng = {name: Rng(4, "test/sight", name).numpy() for name in ("camera", "radar", "lidar")}
    ego = Ego(NOW_US, (now or truth).ego_6, np.zeros((6, 6)), trusted=True)
    return Sight(
        NOW_US,
        ego,
        CameraReading(Stamp("camera", 0, taken, NOW_US), Camera(SPECS.camera).take(truth, rng["camera"])),
        RadarReading(
            Stamp("radar", 0, taken, NOW_US), Radar(RadarSpec(clutter_per_scan=0.0)).take(truth, rng["radar"])
        ),
        LidarReading(Stamp("lidar", 0, taken, NOW_US), Lidar(SPECS.lidar).take(truth, rng["lidar"])),
    )
