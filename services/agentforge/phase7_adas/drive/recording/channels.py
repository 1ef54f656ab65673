"""The format of a recording, so that a user can convert a real log.

A recording is an MCAP file (version 0 of the format; compressed or not, chunked or not). Times in it are
nanoseconds. Channels, all with message encoding `agentforge.arrays.v1`:

    topic            header fields beside `arrays`        arrays (C order)
    /sensors/camera  sequence, taken_us, arrived_us       image_HW      u1 (H, W)
    /sensors/radar   sequence, taken_us, arrived_us       returns_N4    f8 (N, 4)  range, azimuth, rate, SNR
    /sensors/lidar   sequence, taken_us, arrived_us       points_N4     f8 (N, 4)  x, y, z, intensity
    /sensors/imu     sequence, taken_us, arrived_us       accel_3, gyro_3, magnet_3   f8 (3,)
    /sensors/gps     sequence, taken_us, arrived_us       xy_2, velocity_2   f8 (2,); sigma_m   f8 ()
    /truth           t_us                                 ego_6, ego_size_3, id_N, kind_N, state_N6,
                                                          size_N3, weather_4 (rain, fog, darkness, glare)
    /v2x             t_us                                 octets_M      u1 (M,)  datagrams, one after the other
                                                          lengths_K     i4 (K,)  of each
    /verdict         t_us, mode (0 to 4), faults          command_2     f8 (2,)  acceleration, curvature

Frames, units and columns are those of readings.py, truth.py and messages.py. A real log has those of the
sensors that the car had; /v2x, /truth and /verdict may be missing, and other topics are passed over and counted.
`log_time` is arrived_us (or t_us) x 1000 and does not go back by more than SHUFFLE_US: sort a log first.
`taken_us` is by the sensor's own clock.

One message is: 4 bytes, unsigned, little-endian: the length of the header; the header, a JSON object in UTF-8,
whose `arrays` is a list of {"name", "dtype", "shape"} with dtype one of DTYPES (numpy's words, little-endian);
then the bytes of those arrays, one after the other, and nothing else. In Python:

    header = json.dumps({"sequence": 0, "taken_us": 0, "arrived_us": 0,
                         "arrays": [{"name": "image_HW", "dtype": "|u1", "shape": list(image.shape)}]}).encode()
    message = struct.pack("<I", len(header)) + header + image.tobytes()

The metadata record METADATA, before the first message, has version, scenario, seed, and what replaying needs:
road (JSON of road.Road's fields), lane (the route's), faults (JSON of what was injected into stages), code.

Shapes are not judged here: what a sensor said wrongly is replayed as it was said, and the monitor's to refuse.
"""

from __future__ import annotations

from typing import Final

ENCODING: Final = "agentforge.arrays.v1"
METADATA: Final = "agentforge.drive"
"""Name of the metadata record. A converted log may lack it; then only its readings can be read."""
VERSION: Final = 1
SHUFFLE_US: Final = 100_000
NUMBERS: Final = ("<f8", "<f4", "<i8", "<i4", "<u4", "<u2", "|u1", "|i1", "|b1")
DTYPES: Final = (*NUMBERS, *(f"<U{letters}" for letters in range(1, 65)))
"""Text (UTF-32) is what a sensor that is out of its mind may say; no sensor of a real log should need it."""
DTYPES_IN_WORDS: Final = f"{', '.join(NUMBERS)}, <U1 to <U64"

TRUTH: Final = "/truth"
V2X: Final = "/v2x"
VERDICT: Final = "/verdict"
SENSORS: Final = {
    "/sensors/camera": ("image_HW",),
    "/sensors/radar": ("returns_N4",),
    "/sensors/lidar": ("points_N4",),
    "/sensors/imu": ("accel_3", "gyro_3", "magnet_3"),
    "/sensors/gps": ("xy_2", "velocity_2", "sigma_m"),
}
ARRAYS: Final = {
    **SENSORS,
    TRUTH: ("ego_6", "ego_size_3", "id_N", "kind_N", "state_N6", "size_N3", "weather_4"),
    V2X: ("octets_M", "lengths_K"),
    VERDICT: ("command_2",),
}
_STAMP: Final = ("sequence", "taken_us", "arrived_us")
FIELDS: Final = {
    **dict.fromkeys(SENSORS, _STAMP),
    TRUTH: ("t_us",),
    V2X: ("t_us",),
    VERDICT: ("t_us", "mode", "faults"),
}


def schema(topic: str) -> dict[str, object]:
    """JSON Schema of the header of a topic's messages, kept in the file."""
    array = {
        "type": "object",
        "required": ["name", "dtype", "shape"],
        "properties": {
            "name": {"enum": list(ARRAYS[topic])},
            "dtype": {"anyOf": [{"enum": list(NUMBERS)}, {"pattern": "^<U([1-9]|[1-5][0-9]|6[0-4])$"}]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        },
    }
    fields: dict[str, object] = {name: {"type": "integer"} for name in FIELDS[topic] if name != "faults"}
    if topic == VERDICT:
        fields["faults"] = {"type": "array"}
    return {
        "title": f"header of {topic} in {ENCODING}",
        "type": "object",
        "required": [*FIELDS[topic], "arrays"],
        "properties": {**fields, "arrays": {"type": "array", "items": array}},
    }
