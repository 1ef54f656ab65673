"""One fault each, of a sensor or a stage, while a lead that the ego must keep seeing slows down and drives on."""

from __future__ import annotations

from agentforge.phase7_adas.drive.injected import FOR_EVER_US, FaultKind, InjectedFault
from agentforge.phase7_adas.drive.scenarios.roads import MIDDLE, RIGHT, STREET
from agentforge.phase7_adas.drive.scenarios.scenario import EgoStart, Family, Scenario, Wanted
from agentforge.phase7_adas.drive.scenarios.script import Act, Actor, Heed, ToSpeed, after, at

FROM_S = 4.0
_SLOWS = (Act(at(7.0), ToSpeed(5.0, 2.0)), Act(after(6.0), Heed(12.0)))
_TRAFFIC = (Actor(38.0, RIGHT, 12.0, acts=_SLOWS), Actor(220.0, MIDDLE, 11.0, against=True))


def _fault(
    name: str,
    summary: str,
    kind: FaultKind,
    where: str,
    amount: float = 1.0,
    *,
    family: Family = Family.SENSORS,
    lasts_s: float | None = None,
    wanted: Wanted = Wanted.GOES_ON,
) -> Scenario:
    until = FOR_EVER_US if lasts_s is None else int((FROM_S + lasts_s) * 1e6)
    fault = InjectedFault(kind, where, amount, int(FROM_S * 1e6), until)
    return Scenario(name, family, summary, 22.0, STREET, wanted, True, EgoStart(), actors=_TRAFFIC, faults=(fault,))


_LOST = (
    _fault("camera_dropout", "The camera falls silent.", FaultKind.DROPOUT, "camera"),
    _fault("radar_dropout", "The radar falls silent.", FaultKind.DROPOUT, "radar"),
    _fault("lidar_dropout", "The lidar falls silent.", FaultKind.DROPOUT, "lidar"),
    _fault("imu_dropout", "The IMU falls silent.", FaultKind.DROPOUT, "imu", wanted=Wanted.MINIMAL_RISK),
    _fault("gps_dropout", "No GPS any more.", FaultKind.DROPOUT, "gps", wanted=Wanted.MINIMAL_RISK),
    _fault("gps_tunnel", "No GPS for three seconds.", FaultKind.DROPOUT, "gps", lasts_s=3.0),
    _fault("camera_flickers", "Half of the camera's images are lost.", FaultKind.DROPOUT, "camera", 0.5),
)

_WRONG = (
    _fault("camera_blinded", "Something covers nearly all of the camera.", FaultKind.BLIND, "camera", 0.9),
    _fault(
        "camera_frozen",
        "The camera says the same image again and again, stamped as new.",
        FaultKind.FREEZE,
        "camera",
    ),
    _fault("camera_noise", "The camera's noise is eight times what it should be.", FaultKind.NOISE, "camera", 8.0),
    _fault("lidar_blocked", "Dirt covers half of the lidar.", FaultKind.BLIND, "lidar", 0.5),
    _fault("lidar_frozen", "The lidar says the same points again and again.", FaultKind.FREEZE, "lidar"),
    _fault("lidar_garbage", "The lidar says what cannot be.", FaultKind.GARBAGE, "lidar"),
    _fault("lidar_ghost", "The lidar sees something 20 m ahead that is not there.", FaultKind.GHOST, "lidar", 20.0),
    _fault("radar_ghost", "The radar sees something 20 m ahead that is not there.", FaultKind.GHOST, "radar", 20.0),
    _fault("radar_misses", "Half of what is there gives the radar no echo.", FaultKind.MISS, "radar", 0.5),
    _fault("radar_bias", "The radar tells ranges 3 m too long.", FaultKind.BIAS, "radar", 3.0),
    _fault("gps_jump", "The position jumps by 15 m for two seconds.", FaultKind.JUMP, "gps", 15.0, lasts_s=2.0),
    _fault("gps_garbage", "The GPS says what is no number.", FaultKind.GARBAGE, "gps", wanted=Wanted.MINIMAL_RISK),
    _fault("imu_bias", "The yaw rate is off by 0.1 rad/s.", FaultKind.BIAS, "imu", 0.1),
)

_TIME = (
    _fault(
        "stale_lidar",
        "The lidar's last reading comes again and again, with its old stamp.",
        FaultKind.STALE,
        "lidar",
    ),
    _fault(
        "stale_radar",
        "The radar's last reading comes again and again, with its old stamp.",
        FaultKind.STALE,
        "radar",
    ),
    _fault("radar_delay", "The radar's readings come 0.4 s late.", FaultKind.DELAY, "radar", 0.4),
    _fault("clock_skew", "The lidar's clock is 0.3 s ahead.", FaultKind.SKEW, "lidar", 0.3),
    _fault("camera_clock_behind", "The camera's clock is 0.5 s behind.", FaultKind.SKEW, "camera", -0.5),
)

STAGE_NAMES = ("fusion", "perception", "prediction", "planning")

STAGES = (
    *(
        _fault(
            f"{stage}_overrun",
            f"The stage {stage} takes 80 ms longer, for half a second.",
            FaultKind.OVERRUN,
            stage,
            80.0,
            family=Family.STAGES,
            lasts_s=0.5,
        )
        for stage in STAGE_NAMES
    ),
    *(
        _fault(
            f"{stage}_crash",
            f"The stage {stage} raises at every tick.",
            FaultKind.CRASH,
            stage,
            family=Family.STAGES,
            wanted=Wanted.MINIMAL_RISK,
        )
        for stage in STAGE_NAMES
    ),
)

SENSORS = (*_LOST, *_WRONG, *_TIME)
