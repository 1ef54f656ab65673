"""Watches sensors: silence, age and clocks; and whether what is left is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agentforge.phase7_adas.drive.agent import Watched
from agentforge.phase7_adas.drive.messages import Fault
from agentforge.phase7_adas.drive.sensors.spec import SPECS, SensorSpec

SIGHT: Final = ("camera", "radar", "lidar")
MOTION: Final = ("imu", "gps")


@dataclass(frozen=True)
class Patience:
    """Microseconds, by sensor."""

    silent_us: int
    """Since the last arrival."""
    late_us: int
    """Stamp to arrival, at most."""
    early_us: int
    """Stamp to arrival, at least: less means a clock that is ahead."""
    frozen_us: int
    """Since the payload last changed."""


def patience(spec: SensorSpec) -> Patience:
    """Some readings may drop out; stamps may be off by a little of what would do harm."""
    missed = 5 if spec.period_us < 100_000 else 3
    return Patience(
        missed * spec.period_us + spec.jitter_us,
        spec.latency_us + spec.jitter_us + 20_000,
        max(spec.latency_us - 15_000, -5_000),
        max(6 * spec.period_us, 200_000),
    )


PATIENCE: Final = {spec.name: patience(spec) for spec in SPECS.all()}
FIRST_US: Final = 600_000
"""After the monitor's first tick a sensor has this long to speak for the first time."""


class Watchdog:
    def __init__(self, limits: Mapping[str, Patience] = PATIENCE) -> None:
        self._limits = limits
        self._began_us: int | None = None

    def step(self, given: Watched, blind: frozenset[str] = frozenset()) -> list[Fault]:
        """`blind`: sensors that do not see what others see; told, but not counted as failing."""
        if self._began_us is None:
            self._began_us = given.t_us
        faults = [fault for name in self._limits if (fault := self._sensor(name, given)) is not None]
        if not faults and not blind:
            return faults
        failing = {fault.where for fault in faults}
        faults += [
            Fault("SENSOR_BLIND", given.t_us, name, "sees nothing of what the others see") for name in sorted(blind)
        ]
        lost = [name for name in SIGHT if name in failing]
        if len(lost) == len(SIGHT):
            faults.append(Fault("SIGHT_LOST", given.t_us, "sensors", "camera, radar and lidar fail"))
        elif len(lost) == len(SIGHT) - 1:
            faults.append(Fault("SIGHT_POOR", given.t_us, "sensors", f"{' and '.join(lost)} fail"))
        if all(name in failing for name in MOTION):
            faults.append(Fault("MOTION_LOST", given.t_us, "sensors", "imu and gps fail"))
        return faults

    def _sensor(self, name: str, given: Watched) -> Fault | None:
        limit, now = self._limits[name], given.t_us
        arrived, taken = given.arrived_us.get(name), given.taken_us.get(name)
        if arrived is None or taken is None:
            assert self._began_us is not None
            waited = now - self._began_us
            return Fault("SENSOR_SILENT", now, name, "never spoke") if waited > FIRST_US else None
        if now - arrived > limit.silent_us:
            return Fault("SENSOR_SILENT", now, name, f"nothing for {(now - arrived) / 1e3:.0f} ms")
        age = arrived - taken
        if age > limit.late_us:
            return Fault("SENSOR_STALE", now, name, f"stamped {age / 1e3:.0f} ms before it arrived")
        if age < limit.early_us:
            return Fault("SENSOR_CLOCK", now, name, f"stamped {age / 1e3:.0f} ms before it arrived: too few")
        changed = given.changed_us.get(name)
        if changed is not None and arrived - changed > limit.frozen_us:
            return Fault("SENSOR_FROZEN", now, name, f"the same for {(arrived - changed) / 1e3:.0f} ms")
        return None
