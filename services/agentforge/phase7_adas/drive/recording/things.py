"""Readings, truth and verdicts to headers and arrays, and back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

import numpy as np

from agentforge.phase7_adas.drive.messages import Command, Fault, Mode, Verdict
from agentforge.phase7_adas.drive.readings import (
    CameraReading,
    GpsReading,
    ImuReading,
    LidarReading,
    RadarReading,
    Reading,
    Stamp,
)
from agentforge.phase7_adas.drive.recording.arrays import Arrays, BadMessage
from agentforge.phase7_adas.drive.recording.channels import ARRAYS, FIELDS, SENSORS, TRUTH, V2X, VERDICT
from agentforge.phase7_adas.drive.truth import Bodies, Truth, Weather


@dataclass(frozen=True)
class Datagrams:
    """What came by radio in a tick."""

    t_us: int
    datagrams: tuple[bytes, ...]


Thing: TypeAlias = Reading | Truth | Datagrams | Verdict
_OF_TOPIC = dict(zip(SENSORS, (CameraReading, RadarReading, LidarReading, ImuReading, GpsReading), strict=True))
_TOPIC_OF: dict[type[Any], str] = {
    **{kind: topic for topic, kind in _OF_TOPIC.items()},
    Truth: TRUTH,
    Datagrams: V2X,
    Verdict: VERDICT,
}


def topic_of(thing: Thing) -> str:
    return _TOPIC_OF[type(thing)]


def time_us(thing: Thing) -> int:
    """When it reached the ego's computer, or was so."""
    return thing.t_us if isinstance(thing, Truth | Datagrams | Verdict) else thing.stamp.arrived_us


def apart(thing: Thing) -> tuple[dict[str, object], dict[str, object]]:
    """Header and arrays."""
    if isinstance(thing, Truth):
        others, weather = thing.others, thing.weather
        return {"t_us": thing.t_us}, {
            "ego_6": thing.ego_6,
            "ego_size_3": thing.ego_size_3,
            "id_N": others.id_N,
            "kind_N": others.kind_N,
            "state_N6": others.state_N6,
            "size_N3": others.size_N3,
            "weather_4": np.array([weather.rain, weather.fog, weather.darkness, weather.glare]),
        }
    if isinstance(thing, Datagrams):
        octets = np.frombuffer(b"".join(thing.datagrams), dtype=np.uint8)
        lengths = np.array([len(each) for each in thing.datagrams], dtype=np.int32)
        return {"t_us": thing.t_us}, {"octets_M": octets, "lengths_K": lengths}
    if isinstance(thing, Verdict):
        faults = [[fault.code, fault.seen_us, fault.where, fault.fact] for fault in thing.faults]
        command = np.array([thing.command.accel_mps2, thing.command.curvature_per_m])
        return {"t_us": thing.t_us, "mode": int(thing.mode), "faults": faults}, {"command_2": command}
    stamp = thing.stamp
    header: dict[str, object] = {
        "sequence": stamp.sequence,
        "taken_us": stamp.taken_us,
        "arrived_us": stamp.arrived_us,
    }
    return header, {name: getattr(thing, name) for name in ARRAYS[topic_of(thing)]}


def together(topic: str, header: dict[str, Any], arrays: Arrays) -> Thing:
    _check(topic, header, arrays)
    if topic == TRUTH:
        weather = Weather(*(float(part) for part in arrays["weather_4"]))
        others = Bodies(arrays["id_N"], arrays["kind_N"], arrays["state_N6"], arrays["size_N3"])
        return Truth(header["t_us"], arrays["ego_6"], arrays["ego_size_3"], others, weather)
    if topic == V2X:
        return Datagrams(header["t_us"], _parted(arrays["octets_M"].tobytes(), arrays["lengths_K"].tolist()))
    if topic == VERDICT:
        accel, curvature = (float(part) for part in arrays["command_2"])
        faults = tuple(_fault(each) for each in header["faults"])
        return Verdict(header["t_us"], Mode(header["mode"]), Command(accel, curvature), faults)
    stamp = Stamp(topic.rsplit("/", 1)[1], header["sequence"], header["taken_us"], header["arrived_us"])
    if topic == "/sensors/gps":
        sigma_m = float(arrays["sigma_m"])
        return GpsReading(stamp, arrays["xy_2"], arrays["velocity_2"], sigma_m)
    reading: Reading = _OF_TOPIC[topic](stamp, *(arrays[name] for name in ARRAYS[topic]))
    return reading


def _check(topic: str, header: dict[str, Any], arrays: Arrays) -> None:
    missing = [name for name in FIELDS[topic] if name not in header]
    missing += [name for name in ARRAYS[topic] if name not in arrays]
    if missing:
        raise BadMessage(f"{', '.join(missing)} missing")
    for name in FIELDS[topic]:
        if name != "faults" and type(header[name]) is not int:
            raise BadMessage(f"{name} is {header[name]!r}, which is no integer")
    for name, shape in (("sigma_m", ()), ("weather_4", (4,)), ("command_2", (2,))):
        if name in ARRAYS[topic] and arrays[name].shape != shape:
            raise BadMessage(f"{name} has shape {arrays[name].shape}, not {shape}")
    if topic == VERDICT and (header["mode"] not in list(Mode) or not isinstance(header["faults"], list)):
        raise BadMessage(f"mode {header['mode']!r}, faults {header['faults']!r}")


def _parted(octets: bytes, lengths: Any) -> tuple[bytes, ...]:
    good = isinstance(lengths, list) and all(type(each) is int and each >= 0 for each in lengths)
    if not good or sum(lengths) != len(octets):
        raise BadMessage(f"{len(octets)} octets are no datagrams of {str(lengths)[:60]}")
    ends = list(accumulate(lengths, initial=0))
    return tuple(octets[begin:end] for begin, end in pairwise(ends))


def _fault(given: object) -> Fault:
    kinds = (str, int, str, str)
    if not isinstance(given, list) or [type(part) for part in given] != list(kinds):
        raise BadMessage(f"a fault is told as {given!r}")
    return Fault(*given)
