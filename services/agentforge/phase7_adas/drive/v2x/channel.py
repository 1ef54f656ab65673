"""Range and loss: who is heard, and how late. A model of ours with radio_spec's numbers; no radio was measured.

Power falls with the logarithm of distance, with shadowing that changes as the link moves; loss rises as a
logistic curve around the sensitivity; collisions grow with the stations in range. Buildings, fading within a
packet, capture and interference from farther away are not in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.truth import Floats, Ints
from agentforge.phase7_adas.drive.v2x import radio_spec as facts
from agentforge.phase7_adas.drive.v2x.radio_spec import Access, RadioSpec

LIGHT_MPS: Final = 299_792_458.0
NEAREST_M: Final = 1.0
SHADOW_POINTS: Final = 32


@dataclass(frozen=True)
class Delivery:
    arrived_N: NDArray[np.bool_]
    latency_us_N: Ints


def power_dbm(spec: RadioSpec, distance_m_N: Floats) -> Floats:
    """At the receiver, without shadowing."""
    first_db = 20 * math.log10(4 * math.pi * NEAREST_M * spec.frequency_hz / LIGHT_MPS)
    away = np.maximum(distance_m_N, NEAREST_M) / NEAREST_M
    return spec.power_dbm + spec.antennas_db - first_db - 10 * spec.exponent * np.log10(away)


def decoded(spec: RadioSpec, dbm_N: Floats) -> Floats:
    """Probability that a packet of this power, alone on the air, is decoded. At the sensitivity it is 0.9."""
    half_dbm = spec.sensitivity_dbm - spec.waterfall_db * math.log(9.0)
    part: Floats = 1.0 / (1.0 + np.exp(-np.clip((dbm_N - half_dbm) / spec.waterfall_db, -500, 500)))
    return part


def uncollided(spec: RadioSpec, stations: int) -> float:
    """Probability that none of the other stations in the receiver's range spoils a packet."""
    others = max(stations - 1, 0)
    hidden = spec.hidden * others
    if spec.access is Access.CSMA:
        load = others * spec.rate_hz * spec.packet_us * 1e-6
        # who became ready while the air was busy draws a slot, as we did; who does not hear us starts any time
        same_slot = min(load, 1.0) * (1 - math.exp(-load / facts.SLOTS))
        return (1 - same_slot) * math.exp(-2 * hidden * spec.rate_hz * spec.packet_us * 1e-6)
    resources = facts.SUBFRAMES * facts.SUBCHANNELS
    chosen_among = max(facts.CANDIDATES * resources, resources - others)
    anew = (1 - facts.KEEP) / facts.PERIODS
    # two collide who choose anew in one period; they stay together until either chooses anew again
    chosen = math.exp(-(others - hidden) * anew / chosen_among)
    return chosen * math.exp(-hidden / resources) * (1 - 1 / facts.SUBFRAMES)  # while one sends, it is deaf


def delivery_ratio(spec: RadioSpec, distance_m_N: Floats, stations: int) -> Floats:
    """Expected part that arrives: shadowing integrated over, by Gauss and Hermite."""
    at, weight = np.polynomial.hermite_e.hermegauss(SHADOW_POINTS)
    dbm_NP = power_dbm(spec, distance_m_N)[:, None] + spec.shadow_db * at[None]
    alone_N: Floats = (decoded(spec, dbm_NP) * weight).sum(axis=1) / weight.sum()
    return alone_N * uncollided(spec, stations)


class Channel:
    """One receiver's air. Calls must be in the order of time: shadowing goes on from call to call."""

    def __init__(self, spec: RadioSpec, seed: int) -> None:
        self.spec, self.seed = spec, seed
        self._calls = 0
        self._link_M: Ints = np.zeros(0, dtype=np.int64)
        """Senders known so far, ascending."""
        self._shadow_M3: Floats = np.zeros((0, 3))
        """Shadowing in dB (NaN: none yet), and where the sender was, seen from the receiver."""

    def deliver(self, station_N: Ints, away_N2: Floats, stations: int) -> Delivery:
        """Of one message from each (a sender may come several times): `away` is the sender's place less ours."""
        rng = Rng(self.seed, "adas/drive/v2x/channel", self.spec.name, self._calls).numpy()
        self._calls += 1
        normal_N, luck_N, waits_N = rng.standard_normal(len(station_N)), *rng.random((2, len(station_N)))
        dbm_N = power_dbm(self.spec, np.hypot(away_N2[:, 0], away_N2[:, 1]))
        dbm_N = dbm_N + self._shadow(station_N, away_N2, normal_N)
        arrives_N = luck_N < decoded(self.spec, dbm_N) * uncollided(self.spec, stations)
        return Delivery(arrives_N, self.spec.processing_us + self._wait_us(waits_N, stations))

    def _shadow(self, station_N: Ints, away_N2: Floats, normal_N: Floats) -> Floats:
        new = np.setdiff1d(station_N, self._link_M)
        if len(new):
            order = np.argsort(np.concatenate([self._link_M, new]))
            self._link_M = np.concatenate([self._link_M, new])[order]
            self._shadow_M3 = np.concatenate([self._shadow_M3, np.full((len(new), 3), np.nan)])[order]
        row_N = np.searchsorted(self._link_M, station_N)
        was_N3 = self._shadow_M3[row_N]
        moved_N = np.hypot(away_N2[:, 0] - was_N3[:, 1], away_N2[:, 1] - was_N3[:, 2])
        keep_N = np.where(np.isnan(was_N3[:, 0]), 0.0, np.exp(-moved_N / self.spec.shadow_m))
        drawn_N = np.sqrt(1 - keep_N**2) * self.spec.shadow_db * normal_N
        shadow_N: Floats = keep_N * np.nan_to_num(was_N3[:, 0]) + drawn_N
        self._shadow_M3[row_N] = np.column_stack([shadow_N, away_N2])
        return shadow_N

    def _wait_us(self, luck_N: Floats, stations: int) -> Ints:
        """From readiness to the end of the packet."""
        spec = self.spec
        if spec.access is Access.SPS:
            first, last = facts.WINDOW_US
            return (first + luck_N * (last - first)).astype(np.int64) + spec.packet_us
        load = min(max(stations - 1, 0) * spec.rate_hz * spec.packet_us * 1e-6, 0.95)
        queue_us = load / (2 * (1 - load)) * spec.packet_us  # mean wait for a server of constant time
        backoff_us = np.where(luck_N < load, facts.SLOTS * facts.SLOT_US / 2, 0.0)
        waits = facts.AIFS_US - queue_us * np.log1p(-luck_N) + backoff_us
        return waits.astype(np.int64) + spec.packet_us
