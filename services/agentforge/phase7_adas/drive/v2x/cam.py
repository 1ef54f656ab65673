"""CAM: ETSI EN 302 637-2's cooperative awareness message, by pycrate's compiled module of the standard's ASN.1."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from agentforge.phase7_adas.drive.truth import Kind
from agentforge.phase7_adas.drive.v2x import pycrated
from agentforge.phase7_adas.drive.v2x.envelope import delta_time
from agentforge.phase7_adas.drive.v2x.heard import Heard
from agentforge.phase7_adas.drive.v2x.told import Told
from agentforge.phase7_adas.drive.v2x.wire_bsm import DEGREE, compass_deg, heading_rad, steps

PROTOCOL_VERSION, MESSAGE_ID = 2, 2
STATION_TYPE = {Kind.PEDESTRIAN: 1, Kind.CYCLIST: 2, Kind.VEHICLE: 5, Kind.OBSTACLE: 0}
KIND = {1: Kind.PEDESTRIAN, 2: Kind.CYCLIST}
AT_95 = 2.4477
"""Semi-axes are told at 95 %, which is so many sigmas of a round normal distribution: our reading of ETSI."""
ELLIPSE_M, HEADING_DEG, SPEED_MPS, ACCEL_MPS2, YAW_DEGPS, SIZE_M = 0.01, 0.1, 0.01, 0.1, 0.01, 0.1
ELLIPSE_UNKNOWN, HEADING_UNKNOWN, SPEED_UNKNOWN, LENGTH_UNKNOWN, WIDTH_UNKNOWN = 4095, 3601, 16_383, 1023, 62
VEHICLE_HIGH, VEHICLE_LOW = "basicVehicleContainerHighFrequency", "basicVehicleContainerLowFrequency"


@cache
def _type() -> Any:
    try:
        from pycrate_asn1dir import ITS_CAM_2
    except ImportError as error:
        raise pycrated.missing(error) from error
    return ITS_CAM_2.CAM_PDU_Descriptions.CAM


def position(latitude_deg: float, longitude_deg: float, sigma_m: float) -> dict[str, Any]:
    """A ReferencePosition; CAM and DENM share it."""
    axis = steps(sigma_m * AT_95, ELLIPSE_M, 0, ELLIPSE_UNKNOWN - 2)
    return {
        "latitude": round(latitude_deg / DEGREE),
        "longitude": round(longitude_deg / DEGREE),
        "positionConfidenceEllipse": {
            "semiMajorConfidence": axis, "semiMinorConfidence": axis, "semiMajorOrientation": 3601,
        },
        "altitude": {"altitudeValue": 800_001, "altitudeConfidence": "unavailable"},
    }  # fmt: skip


def tree_of(told: Told, latitude_deg: float, longitude_deg: float, low_frequency: bool) -> dict[str, Any]:
    """pycrate's value. The low-frequency container goes along every 500 ms."""
    high = {
        "heading": {
            "headingValue": round(compass_deg(told.heading_rad) / HEADING_DEG) % 3600, "headingConfidence": 127,
        },
        "speed": {
            "speedValue": steps(abs(told.speed_mps), SPEED_MPS, 0, SPEED_UNKNOWN - 1), "speedConfidence": 127,
        },
        "driveDirection": "backward" if told.speed_mps < 0 else "forward",
        "vehicleLength": {
            "vehicleLengthValue": steps(told.length_m, SIZE_M, 1, 1022),
            "vehicleLengthConfidenceIndication": "noTrailerPresent",
        },
        "vehicleWidth": steps(told.width_m, SIZE_M, 1, 61),
        "longitudinalAcceleration": {
            "longitudinalAccelerationValue": steps(told.accel_mps2, ACCEL_MPS2, -160, 160),
            "longitudinalAccelerationConfidence": 102,
        },
        "curvature": {"curvatureValue": 1023, "curvatureConfidence": "unavailable"},
        "curvatureCalculationMode": "unavailable",
        "yawRate": {
            "yawRateValue": steps(math.degrees(told.yaw_rate_radps), YAW_DEGPS, -32_766, 32_766),
            "yawRateConfidence": "unavailable",
        },
    }  # fmt: skip
    parameters: dict[str, Any] = {
        "basicContainer": {
            "stationType": STATION_TYPE[told.kind],
            "referencePosition": position(latitude_deg, longitude_deg, told.sigma_m),
        },
        "highFrequencyContainer": (VEHICLE_HIGH, high),
    }
    if low_frequency:
        low = {"vehicleRole": "default", "exteriorLights": (0, 8), "pathHistory": []}
        parameters["lowFrequencyContainer"] = (VEHICLE_LOW, low)
    return {
        "header": {"protocolVersion": PROTOCOL_VERSION, "messageID": MESSAGE_ID, "stationID": told.station},
        "cam": {"generationDeltaTime": delta_time(told.t_us), "camParameters": parameters},
    }


def ready() -> None:
    """Loads pycrate's module now: it takes a good tenth of a second, which no step may be kept waiting."""
    _type()


def encode(tree: dict[str, Any]) -> bytes:
    return pycrated.encode(_type(), tree)


def decode(octets: bytes) -> dict[str, Any]:
    """Raises Undecodable."""
    tree: dict[str, Any] = pycrated.decode(_type(), octets)
    return tree


def heard_of(tree: dict[str, Any]) -> Heard | None:
    """None for a station that is no vehicle: a roadside unit tells of no body."""
    parameters = tree["cam"]["camParameters"]
    container, high = parameters["highFrequencyContainer"]
    if container != VEHICLE_HIGH:
        return None
    basic = parameters["basicContainer"]
    place = basic["referencePosition"]
    axis, speed = place["positionConfidenceEllipse"]["semiMajorConfidence"], high["speed"]["speedValue"]
    compass, length = high["heading"]["headingValue"], high["vehicleLength"]["vehicleLengthValue"]
    nan = float("nan")
    sign = -1.0 if high["driveDirection"] == "backward" else 1.0
    return Heard(
        latitude_deg=place["latitude"] * DEGREE if place["latitude"] <= 900_000_000 else nan,
        longitude_deg=place["longitude"] * DEGREE if place["longitude"] <= 1_800_000_000 else nan,
        heading_rad=heading_rad(compass * HEADING_DEG) if compass < HEADING_UNKNOWN else nan,
        speed_mps=sign * speed * SPEED_MPS if speed < SPEED_UNKNOWN else nan,
        sigma_m=axis * ELLIPSE_M / AT_95 if axis < ELLIPSE_UNKNOWN else nan,
        length_m=length * SIZE_M if length < LENGTH_UNKNOWN else nan,
        width_m=high["vehicleWidth"] * SIZE_M if high["vehicleWidth"] < WIDTH_UNKNOWN else nan,
        kind=float(KIND.get(basic["stationType"], Kind.VEHICLE)),
    )
