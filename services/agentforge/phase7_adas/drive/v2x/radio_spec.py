"""The numbers of the two radios. Each says where it is from; where no source is named, it is an assumption of ours.

None was measured on a radio, and no figure here was looked up again in its standard while this was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Access(Enum):
    CSMA = "csma"  # listen, back off, send: 802.11p
    SPS = "sps"  # semi-persistent scheduling, mode 4: reserve a resource and keep it for some periods


@dataclass(frozen=True)
class RadioSpec:
    name: str
    access: Access
    sensitivity_dbm: float
    """At which one packet in ten is lost, without fading."""
    waterfall_db: float
    """How steeply loss falls with power: the scale of a logistic curve. Assumption."""
    processing_us: int
    """In both stacks together. Assumption."""
    packet_us: int
    """Time on air of one message with its headers and a certificate, some 200 to 300 octets. Assumption."""
    power_dbm: float = 23.0
    """Of both radios: PC5's power class 3; usual for 802.11p."""
    antennas_db: float = 3.0
    """Gains less cables, both ends together. Assumption."""
    frequency_hz: float = 5.9e9
    exponent: float = 2.4
    """Of the path loss; 2 is free space. Assumption for a street with line of sight."""
    shadow_db: float = 3.0
    """Standard deviation; 3GPP TR 37.885 has 3 dB with line of sight."""
    shadow_m: float = 10.0
    """Way after which shadowing is another one; 3GPP TR 37.885 has 10 m in town."""
    rate_hz: float = 10.0
    """Messages of each station."""
    hidden: float = 0.2
    """Of stations that the receiver hears, the part that the sender does not. Assumption."""


DSRC = RadioSpec(
    name="802.11p", access=Access.CSMA,
    sensitivity_dbm=-85.0,  # IEEE 802.11's least for QPSK 1/2 at 10 MHz; real chips do better by some 6 to 8 dB
    waterfall_db=0.8, processing_us=1_500,
    packet_us=456,  # 40 us of preamble and signal field, and 300 octets at 6 Mbit/s
)  # fmt: skip
PC5 = RadioSpec(
    name="C-V2X PC5", access=Access.SPS,
    sensitivity_dbm=-90.4,  # 3GPP TS 36.101's reference sensitivity of V2X in band 47 at 10 MHz
    waterfall_db=0.8, processing_us=3_000,
    packet_us=1_000,  # one subframe
)  # fmt: skip

SLOTS = 16
"""Of 802.11p's backoff: contention window 15."""
SLOT_US, AIFS_US = 13, 58
SUBFRAMES, SUBCHANNELS = 100, 2
"""PC5: resources of a period of 100 ms, when a message takes half of the 10 MHz. Assumption."""
CANDIDATES = 0.2
"""Part of all resources that a station chooses among at least; mode 4's 20 %."""
KEEP, PERIODS = 0.4, 10.0
"""Probability to keep a resource when its counter runs out (of 0 to 0.8), and mean of the counter, 5 to 15."""
WINDOW_US = (4_000, 20_000)
"""PC5: from a message's readiness to its resource. Assumption; the standard allows up to 100 ms."""
