"""The perception agent: the newest readings of camera, radar and lidar in, detections at one instant out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from agentforge.phase7_adas.drive.agent import PERCEPTION_MS, Sight
from agentforge.phase7_adas.drive.messages import Detections, LaneFix, no_detections
from agentforge.phase7_adas.drive.perception.checks import fault_of, payload_fault_of, time_fault_of
from agentforge.phase7_adas.drive.perception.combine import (
    Evidence,
    Given,
    combine,
    covariance,
    told_places,
)
from agentforge.phase7_adas.drive.perception.confidence import Confidence, load_confidence
from agentforge.phase7_adas.drive.perception.detector import Detector, Told
from agentforge.phase7_adas.drive.perception.lidar import Clusters, clusters
from agentforge.phase7_adas.drive.perception.marks import Marks
from agentforge.phase7_adas.drive.perception.motion import columns, compensated, turned
from agentforge.phase7_adas.drive.perception.radar import Echoes, echoes
from agentforge.phase7_adas.drive.readings import CameraReading, LidarReading, RadarReading
from agentforge.phase7_adas.drive.sensors.spec import SPECS, Specs
from agentforge.phase7_adas.drive.truth import Floats

LEAST_CONFIDENCE = 0.05
"""What is less likely is not told at all."""


class Perception:
    name = "perception"
    deadline_ms = PERCEPTION_MS

    def __init__(
        self, specs: Specs = SPECS, detector: Detector | None = None, confidence: Confidence | None = None
    ) -> None:
        self.specs = specs
        self._detector = detector or Detector(spec=specs.camera)
        self.confidence = confidence or load_confidence()
        self._marks = Marks(specs.camera)
        self._told: tuple[CameraReading, Told] | None = None
        self._swept: tuple[LidarReading, Clusters] | None = None
        """What was made ahead, and of which reading."""
        self.dropped: Counter[str] = Counter()
        """Readings that could not be used, by `sensor:why`."""

    def ahead(self, reading: CameraReading | LidarReading) -> None:
        if payload_fault_of(reading, self.specs.camera):
            return  # the step refuses and counts it
        if isinstance(reading, CameraReading):
            self._told = reading, self._detector.tell(reading.image_HW)
        else:
            self._swept = reading, clusters(reading.points_N4, spec=self.specs.lidar)

    def marks(self, given: Sight) -> LaneFix | None:
        """Of the picture alone; what can be used of it is asked again: the answer was counted already."""
        camera, ego = given.camera, np.asarray(given.ego.state_6, dtype=np.float64)
        if camera is None or given.road is None or not np.isfinite(ego).all():
            return None
        usable = not self._fault_of(camera, given.t_us)
        return self._marks.fix(camera, given.ego, given.road) if usable else None

    def step(self, given: Sight) -> Detections:
        evidence = self.evidence(given)
        if evidence is None or len(evidence) == 0:
            return no_detections(given.t_us)
        confidence = self.confidence.of(evidence)
        kept = (confidence >= LEAST_CONFIDENCE).nonzero()[0]
        xy_N2, sources_N = evidence.xy_N2.take(kept, axis=0), evidence.sources_N[kept]
        factor_N2 = self.confidence.spread_82.take(sources_N & 7, axis=0)
        radial_N, tangent_N = evidence.radial_N[kept] * factor_N2[:, 0], evidence.tangent_N[kept] * factor_N2[:, 1]
        return Detections(
            given.t_us, xy_N2, covariance(xy_N2, radial_N, tangent_N, evidence.doubtful_N2.take(kept, axis=0)),
            evidence.size_N3.take(kept, axis=0), evidence.kind_N[kept], confidence[kept], evidence.rate_N[kept],
            sources_N, evidence.depth_N[kept], evidence.echo_N[kept],
        )  # fmt: skip

    def evidence(self, given: Sight) -> Evidence | None:
        """All candidates, whatever their confidence; None if no sensor said anything that can be used."""
        ego = np.asarray(given.ego.state_6, dtype=np.float64)
        if not np.isfinite(ego).all():
            self.dropped["ego:numbers"] += 1
            return None
        camera, radar, lidar = (self._usable(each, given.t_us) for each in (given.camera, given.radar, given.lidar))
        if camera is None and radar is None and lidar is None:
            return None
        ages = [
            0.0 if each is None else (given.t_us - each.stamp.taken_us) * 1e-6 for each in (camera, radar, lidar)
        ]
        told = self._boxes(camera)
        mount = self.specs.camera.mount_x_m
        places = np.zeros((0, 2)) if told is None else told_places(told, mount, ego, ages[0])
        found = self._echoes(radar, ego, ages[1])
        seen = self._clusters(lidar, ego, ages[2])
        return combine(
            Given(told, places, seen, ages[2], found, ages[1], ages[0]),
            mount, self.specs.lidar.mount_x_m, self.specs.radar.mount_x_m, self.specs.camera.field_of_view_rad / 2,
        )  # fmt: skip

    def _usable(
        self, reading: CameraReading | RadarReading | LidarReading | None, t_us: int
    ) -> CameraReading | RadarReading | LidarReading | None:
        if reading is None:
            return None
        why = self._fault_of(reading, t_us)
        if why:
            self.dropped[f"{reading.stamp.sensor}:{why}"] += 1
            return None
        return reading

    def _fault_of(self, reading: CameraReading | RadarReading | LidarReading, t_us: int) -> str:
        if any(done is not None and done[0] is reading for done in (self._told, self._swept)):
            return time_fault_of(reading, t_us)  # its payload was good
        return fault_of(reading, t_us, self.specs.camera)

    def _boxes(self, reading: object) -> Told | None:
        if not isinstance(reading, CameraReading):
            return None
        if self._told is None or self._told[0] is not reading:
            self._told = reading, self._detector.tell(reading.image_HW)
        return self._told[1]

    def _echoes(self, reading: object, ego: Floats, age_s: float) -> Echoes | None:
        if not isinstance(reading, RadarReading):
            return None
        found = echoes(reading.returns_N4, ego, self.specs.radar)
        return replace(found, xy_N2=compensated(found.xy_N2, ego, age_s))

    def _clusters(self, reading: object, ego: Floats, age_s: float) -> Clusters | None:
        """Boxes stand along their own axes, so middles move and axes turn."""
        if not isinstance(reading, LidarReading):
            return None
        if self._swept is None or self._swept[0] is not reading:
            self._swept = reading, clusters(reading.points_N4, spec=self.specs.lidar)
        seen = self._swept[1]
        axes, xy = turned(seen.axes_N2, ego, age_s), compensated(seen.xy_N2, ego, age_s)
        x, y, axis_x, axis_y = xy[:, 0], xy[:, 1], axes[:, 0], axes[:, 1]
        along = columns(x * axis_x + y * axis_y, y * axis_x - x * axis_y)
        half = seen.extent_N2 / 2
        return replace(seen, xy_N2=xy, axes_N2=axes, low_N2=along - half, high_N2=along + half)
