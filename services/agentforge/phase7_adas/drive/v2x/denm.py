"""DENM: ETSI EN 302 637-3's warning of an event, by pycrate's compiled module of the standard's ASN.1."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from agentforge.phase7_adas.drive.v2x import pycrated
from agentforge.phase7_adas.drive.v2x.cam import STATION_TYPE, position
from agentforge.phase7_adas.drive.v2x.told import Told
from agentforge.phase7_adas.drive.v2x.wire_bsm import DEGREE

PROTOCOL_VERSION, MESSAGE_ID = 2, 1
VALID_S = 2
"""Assumption: an event that is not told again for so long is over."""


class Cause(Enum):
    """(causeCode, subCauseCode) of the standard."""

    EMERGENCY_BRAKING = (99, 1)
    STATIONARY_VEHICLE = (94, 0)


@dataclass(frozen=True)
class Event:
    """What a DENM told, in the world's frame."""

    station: int
    number: int
    """Of the event, by its station: later messages of one event bear the same."""
    detected_us: int
    told_us: int
    x_m: float
    y_m: float
    cause: int
    sub_cause: int
    over: bool


@cache
def _type() -> Any:
    try:
        from pycrate_asn1dir import ITS_DENM_3
    except ImportError as error:
        raise pycrated.missing(error) from error
    return ITS_DENM_3.DENM_PDU_Descriptions.DENM


def tree_of(
    told: Told, latitude_deg: float, longitude_deg: float, cause: Cause, number: int, detected_us: int, over: bool
) -> dict[str, Any]:
    """pycrate's value. Times are ms since the world's beginning, which stands for ETSI's 2004-01-01."""
    management: dict[str, Any] = {
        "actionID": {"originatingStationID": told.station, "sequenceNumber": number % 65_536},
        "detectionTime": detected_us // 1000,
        "referenceTime": told.t_us // 1000,
        "eventPosition": position(latitude_deg, longitude_deg, told.sigma_m),
        "validityDuration": VALID_S,
        "stationType": STATION_TYPE[told.kind],
    }
    if over:
        management["termination"] = "isCancellation"
    code, sub_code = cause.value
    event_type = {"causeCode": code, "subCauseCode": sub_code}
    return {
        "header": {"protocolVersion": PROTOCOL_VERSION, "messageID": MESSAGE_ID, "stationID": told.station},
        "denm": {"management": management, "situation": {"informationQuality": 0, "eventType": event_type}},
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


def degrees_of(tree: dict[str, Any]) -> tuple[float, float]:
    """Latitude and longitude of the event; NaN where it is not told."""
    place = tree["denm"]["management"]["eventPosition"]
    latitude, longitude, nan = place["latitude"], place["longitude"], float("nan")
    return (
        latitude * DEGREE if latitude <= 900_000_000 else nan,
        longitude * DEGREE if longitude <= 1_800_000_000 else nan,
    )


def event_of(tree: dict[str, Any], station: int, x_m: float, y_m: float) -> Event:
    management, situation = tree["denm"]["management"], tree["denm"].get("situation")
    event_type = situation["eventType"] if situation else {"causeCode": 0, "subCauseCode": 0}
    return Event(
        station,
        management["actionID"]["sequenceNumber"],
        management["detectionTime"] * 1000,
        management["referenceTime"] * 1000,
        x_m,
        y_m,
        event_type["causeCode"],
        event_type["subCauseCode"],
        "termination" in management,
    )
