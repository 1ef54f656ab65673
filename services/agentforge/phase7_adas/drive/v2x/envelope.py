"""What goes around a message on the air: who, when, which, and a signature.

Real radios have WSMP or GeoNetworking/BTP and IEEE 1609.2 or TS 103 097 here. This is neither, but gives the
receiver what it needs of them: a stamp that does not wrap (secMark does, every minute), a sequence that does not
wrap (msgCnt does, every 12.8 s), and the octets that a signature covers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

MAGIC, VERSION = b"AF", 1
HEAD = struct.Struct("!2sBBIIQH")
HEAD_DTYPE = np.dtype(
    [
        ("magic", "S2"), ("version", "u1"), ("what", "u1"), ("station", ">u4"), ("sequence", ">u4"),
        ("generated_us", ">u8"), ("octets", ">u2"),
    ]
)  # fmt: skip
MOST_OCTETS = 1400
"""Of a whole datagram: what an Ethernet frame carries, and 802.11p and PC5 as well."""
SIGNATURES = (0, 64)
"""Octets that may follow a message: none, or an Ed25519 signature."""
LATEST_US = 2**62
"""No clock of ours says more."""


class What(IntEnum):
    BSM = 1
    CAM = 2
    DENM = 3


@dataclass(frozen=True)
class Envelope:
    what: What
    station: int
    sequence: int
    generated_us: int
    payload: bytes
    signature: bytes = b""

    def covered(self) -> bytes:
        """What a signature is over: everything before it."""
        head = HEAD.pack(
            MAGIC, VERSION, self.what, self.station, self.sequence, self.generated_us, len(self.payload)
        )
        return head + self.payload


class Malformed(Exception):
    """`reason` is one of receiver.REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def opened(datagram: bytes) -> Envelope:
    """Whatever the octets are: an envelope, or Malformed."""
    if not HEAD.size <= len(datagram) <= MOST_OCTETS:
        raise Malformed("length")
    magic, version, what, station, sequence, generated_us, octets = HEAD.unpack_from(datagram)
    if magic != MAGIC or version != VERSION or what not in What.__members__.values():
        raise Malformed("garbage")
    if generated_us > LATEST_US:
        raise Malformed("garbage")
    end = HEAD.size + octets
    if len(datagram) - end not in SIGNATURES:
        raise Malformed("length")
    return Envelope(What(what), station, sequence, generated_us, datagram[HEAD.size : end], datagram[end:])


def sec_mark(t_us: int) -> int:
    """Milliseconds of the minute, as in a BSM."""
    return t_us // 1000 % 60_000


def delta_time(t_us: int) -> int:
    """Milliseconds modulo 2^16, as in a CAM."""
    return t_us // 1000 % 65_536
