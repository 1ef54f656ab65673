"""BSM Part I: the core data of SAE J2735's basic safety message, by an ASN.1 module of our own.

SAE's ASN.1 text is copyrighted and is not used. The text below is ours, with the field order and ranges that
are publicly known; what stands around the core data there (message frame, options, Part II, regional) is left
out. So the wire layout of Part I is shown, and interoperability with a certified stack is not.

pycrate compiles the text once, at first use. It takes some 0.2 ms for one message, so receiving 2,000 a second
would take a good part of a core: `CORE` reads the same fields with numpy, equal to pycrate by test.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from agentforge.phase7_adas.drive.v2x import pycrated
from agentforge.phase7_adas.drive.v2x.layout import Field, Layout

ASN1 = """
AgentForgeBsm DEFINITIONS AUTOMATIC TAGS ::= BEGIN
OffOn ::= ENUMERATED { unavailable, off, on, engaged }
BsmCore ::= SEQUENCE {
  msgCnt INTEGER (0..127),
  id OCTET STRING (SIZE(4)),
  secMark INTEGER (0..65535),
  lat INTEGER (-900000000..900000001),
  long INTEGER (-1799999999..1800000001),
  elev INTEGER (-4096..61439),
  accuracy SEQUENCE {
    semiMajor INTEGER (0..255), semiMinor INTEGER (0..255), orientation INTEGER (0..65535) },
  transmission ENUMERATED {
    neutral, park, forwardGears, reverseGears, reserved1, reserved2, reserved3, unavailable },
  speed INTEGER (0..8191),
  heading INTEGER (0..28800),
  angle INTEGER (-126..127),
  accelSet SEQUENCE {
    long INTEGER (-2000..2001), lat INTEGER (-2000..2001), vert INTEGER (-127..127), yaw INTEGER (-32767..32767) },
  brakes SEQUENCE {
    wheelBrakes BIT STRING (SIZE(5)), traction OffOn, abs OffOn, scs OffOn,
    brakeBoost ENUMERATED { unavailable, off, on }, auxBrakes ENUMERATED { unavailable, off, on, reserved } },
  size SEQUENCE { width INTEGER (0..1023), length INTEGER (0..4095) }
}
END
"""

CORE = Layout(
    (
        Field("msgCnt", 0, 127),
        Field("id", 0, 2**32 - 1),
        Field("secMark", 0, 65_535),
        Field("lat", -900_000_000, 900_000_001),
        Field("long", -1_799_999_999, 1_800_000_001),
        Field("elev", -4096, 61_439),
        Field("semiMajor", 0, 255),
        Field("semiMinor", 0, 255),
        Field("orientation", 0, 65_535),
        Field("transmission", 0, 7),
        Field("speed", 0, 8191),
        Field("heading", 0, 28_800),
        Field("angle", -126, 127),
        Field("accelLong", -2000, 2001),
        Field("accelLat", -2000, 2001),
        Field("accelVert", -127, 127),
        Field("yaw", -32_767, 32_767),
        Field("wheelBrakes", 0, 31),
        Field("traction", 0, 3),
        Field("abs", 0, 3),
        Field("scs", 0, 3),
        Field("brakeBoost", 0, 2),
        Field("auxBrakes", 0, 3),
        Field("width", 0, 1023),
        Field("length", 0, 4095),
    )
)

TRANSMISSION = (
    "neutral", "park", "forwardGears", "reverseGears", "reserved1", "reserved2", "reserved3", "unavailable",
)  # fmt: skip
FORWARD, REVERSE = 2, 3
OFF_ON = ("unavailable", "off", "on", "engaged")
AUX = ("unavailable", "off", "on", "reserved")


@cache
def _type() -> Any:
    return pycrated.compiled(ASN1, "AgentForgeBsm").BsmCore


def encode(core: dict[str, int]) -> bytes:
    """By pycrate, from the flat names of CORE."""
    return pycrated.encode(_type(), _tree(core))


def decode(octets: bytes) -> dict[str, int]:
    """By pycrate, into the flat names of CORE; raises Undecodable."""
    return _flat(pycrated.decode(_type(), octets))


def _tree(core: dict[str, int]) -> dict[str, Any]:
    return {
        **{name: core[name] for name in ("msgCnt", "secMark", "lat", "long", "elev", "speed", "heading", "angle")},
        "id": core["id"].to_bytes(4, "big"),
        "accuracy": {name: core[name] for name in ("semiMajor", "semiMinor", "orientation")},
        "transmission": TRANSMISSION[core["transmission"]],
        "accelSet": {
            "long": core["accelLong"], "lat": core["accelLat"], "vert": core["accelVert"], "yaw": core["yaw"],
        },
        "brakes": {
            "wheelBrakes": (core["wheelBrakes"], 5),
            **{name: OFF_ON[core[name]] for name in ("traction", "abs", "scs", "brakeBoost")},
            "auxBrakes": AUX[core["auxBrakes"]],
        },
        "size": {"width": core["width"], "length": core["length"]},
    }  # fmt: skip


def _flat(tree: dict[str, Any]) -> dict[str, int]:
    brakes, accel = tree["brakes"], tree["accelSet"]
    flat = {name: tree[name] for name in ("msgCnt", "secMark", "lat", "long", "elev", "speed", "heading", "angle")}
    flat |= {"id": int.from_bytes(tree["id"], "big"), **tree["accuracy"], **tree["size"]}
    flat |= {"accelLong": accel["long"], "accelLat": accel["lat"], "accelVert": accel["vert"], "yaw": accel["yaw"]}
    flat |= {name: OFF_ON.index(brakes[name]) for name in ("traction", "abs", "scs", "brakeBoost")}
    flat |= {"wheelBrakes": brakes["wheelBrakes"][0], "auxBrakes": AUX.index(brakes["auxBrakes"])}
    flat["transmission"] = TRANSMISSION.index(tree["transmission"])
    return {each.name: flat[each.name] for each in CORE.fields}
