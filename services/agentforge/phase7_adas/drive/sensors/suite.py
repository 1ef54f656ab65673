"""All sensors of the ego: each takes readings at its rate, and each reading arrives after its latency, or never."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.injected import FaultKind, InjectedFault
from agentforge.phase7_adas.drive.readings import (
    CameraReading,
    GpsReading,
    ImuReading,
    LidarReading,
    RadarReading,
    Reading,
    Stamp,
)
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.sensors.camera import Camera
from agentforge.phase7_adas.drive.sensors.faulty import check, sensed, spoiled
from agentforge.phase7_adas.drive.sensors.gps import Gps
from agentforge.phase7_adas.drive.sensors.imu import Imu
from agentforge.phase7_adas.drive.sensors.lidar import Lidar
from agentforge.phase7_adas.drive.sensors.radar import Radar
from agentforge.phase7_adas.drive.sensors.spec import SPECS, SensorSpec, Specs
from agentforge.phase7_adas.drive.truth import Truth


class Suite:
    """`read` once per step of the world, in the order of time. Without a road the camera sees bare ground."""

    def __init__(
        self, faults: Iterable[InjectedFault], seed: int, specs: Specs = SPECS, road: Road | None = None
    ) -> None:
        self.specs, self.seed = specs, seed
        self._faults: dict[str, list[InjectedFault]] = {spec.name: [] for spec in specs.all()}
        for fault in faults:
            check(fault)
            if fault.where in self._faults:
                self._faults[fault.where].append(fault)
        self._camera, self._radar, self._lidar = Camera(specs.camera, road), Radar(specs.radar), Lidar(specs.lidar)
        self._imu = Imu(specs.imu, Rng(seed, "adas/drive/sensors/imu-bias").numpy())
        self._gps = Gps(specs.gps, Rng(seed, "adas/drive/sensors/gps-bias").numpy())
        self._due_us: dict[str, int] = {}
        self._sequence = dict.fromkeys(self._faults, 0)
        self._last: dict[str, Reading] = {}
        self._queue: list[tuple[int, int, Reading]] = []
        self._queued = 0
        self._now_us: int | None = None

    def read(self, truth: Truth) -> list[Reading]:
        """What arrives now, oldest arrival first."""
        if self._now_us is not None and truth.t_us <= self._now_us:
            raise ValueError(f"sensors were read at {self._now_us} us; {truth.t_us} us is not later")
        self._now_us = truth.t_us
        for spec in self.specs.all():
            due = self._due_us.get(spec.name, truth.t_us)
            if truth.t_us < due:
                continue
            # a reading that was due between two steps is taken at the later one; its rate stays
            self._due_us[spec.name] = due + spec.period_us * (1 + (truth.t_us - due) // spec.period_us)
            self._take(spec, truth)
        arrived = []
        while self._queue and self._queue[0][0] <= truth.t_us:
            arrived.append(heapq.heappop(self._queue)[2])
        return arrived

    def _take(self, spec: SensorSpec, truth: Truth) -> None:
        sequence = self._sequence[spec.name]
        self._sequence[spec.name] += 1
        rng = Rng(self.seed, "adas/drive/sensors/reading", spec.name, sequence).numpy()
        acting = [fault for fault in self._faults[spec.name] if fault.acts(truth.t_us)]
        amount = {fault.kind: fault.amount for fault in acting}
        lost, late = rng.random(2)
        if lost < spec.dropout or rng.random() < amount.get(FaultKind.DROPOUT, 0.0):
            return
        latency = spec.latency_us + int(late * spec.jitter_us) + round(amount.get(FaultKind.DELAY, 0.0) * 1e6)
        skew = round(amount.get(FaultKind.SKEW, 0.0) * 1e6)
        stamp = Stamp(spec.name, sequence, truth.t_us + skew, truth.t_us + latency)
        last = self._last.get(spec.name)
        if last is not None and FaultKind.STALE in amount:
            reading = replace(last, stamp=replace(last.stamp, arrived_us=stamp.arrived_us))
        elif last is not None and FaultKind.FREEZE in amount:
            reading = replace(last, stamp=stamp)
        else:
            noise = amount.get(FaultKind.NOISE, 1.0)
            reading = self._sense(stamp, sensed(truth, acting, self.seed), rng, noise)
            reading = spoiled(reading, acting, self.seed, self.specs)
            self._last[spec.name] = reading
        heapq.heappush(self._queue, (stamp.arrived_us, self._queued, reading))
        self._queued += 1

    def _sense(self, stamp: Stamp, truth: Truth, rng: np.random.Generator, noise: float) -> Reading:
        match stamp.sensor:
            case "camera":
                return CameraReading(stamp, self._camera.take(truth, rng, noise))
            case "radar":
                return RadarReading(stamp, self._radar.take(truth, rng, noise))
            case "lidar":
                return LidarReading(stamp, self._lidar.take(truth, rng, noise))
            case "imu":
                return ImuReading(stamp, *self._imu.take(truth, rng, noise))
            case _:
                return GpsReading(stamp, *self._gps.take(truth, rng, noise), self.specs.gps.claimed_sigma_m)
