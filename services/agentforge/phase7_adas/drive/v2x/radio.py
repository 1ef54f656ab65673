"""The radio of the closed loop: stations in other vehicles, the air between, and the ego's V2X agent.

Everything goes the whole way: from what a vehicle knows of itself, with the error of its GPS, to bits, through the
channel's loss and latency, and back by the receiver, which knows nothing of the truth.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np

from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.agent import Neighbour
from agentforge.phase7_adas.drive.injected import FaultKind
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario
from agentforge.phase7_adas.drive.truth import (
    ACCEL,
    HEADING,
    LENGTH,
    SPEED,
    WIDTH,
    YAW_RATE,
    Floats,
    Kind,
    Truth,
    X,
    Y,
)
from agentforge.phase7_adas.drive.v2x.agent import V2x
from agentforge.phase7_adas.drive.v2x.channel import Channel
from agentforge.phase7_adas.drive.v2x.envelope import What
from agentforge.phase7_adas.drive.v2x.local import FIELD
from agentforge.phase7_adas.drive.v2x.radio_spec import DSRC, RadioSpec
from agentforge.phase7_adas.drive.v2x.receiver import Receiver
from agentforge.phase7_adas.drive.v2x.station import BSM_PERIOD_US, Station
from agentforge.phase7_adas.drive.v2x.told import Told

CAN = frozenset(
    {
        FaultKind.DROPOUT, FaultKind.GARBAGE, FaultKind.SPOOF, FaultKind.DELAY, FaultKind.SKEW, FaultKind.STALE,
        FaultKind.FREEZE, FaultKind.NOISE,
    }
)  # fmt: skip
SPOOFER = 0x5F00F
"""The number that a made-up station bears; no road user's id is so high."""
SPOOFER_AWAY_M = 50.0
BIAS_M, NOISE_M, CLAIMED_M = 1.0, 0.3, 1.0
"""Error of other vehicles' positions, per axis: constant over a drive, and anew each time; and what they claim."""
TICK_US = 50_000
"""Phases of stations are whole ticks of the pipeline, as the world is looked at only then."""


class Air:
    """In the place of sockets: what has arrived. The ego itself sends nothing here."""

    def __init__(self) -> None:
        self.arrived: list[bytes] = []

    def receive(self, most: int) -> list[bytes]:
        out, self.arrived = self.arrived[:most], self.arrived[most:]
        return out

    def send(self, datagrams: Iterable[bytes]) -> None:
        raise ValueError("the ego's own messages go nowhere in the closed loop")


class Radio:
    """`listen` once per tick, in the order of time. The same scenario and seed give the same neighbours."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        spec: RadioSpec = DSRC,
        *,
        everybody: bool = False,
        kinds: Collection[What] = (What.BSM, What.DENM),
        crowd: int = 0,
    ) -> None:
        """`everybody`: all vehicles have stations, not only actors that talk. `crowd`: more stations in range."""
        self._faults = [fault for fault in scenario.faults if fault.where == "v2x"]
        for fault in self._faults:
            if fault.kind not in CAN:
                raise InvalidInput(
                    f"V2X cannot have the fault {fault.kind.value!r}",
                    reason="FAULT_NOT_APPLICABLE",
                    field="faults.v2x",
                    next_step=f"It can have: {', '.join(sorted(CAN))}.",
                )
        self._talking = np.array([n + 1 for n, actor in enumerate(scenario.actors) if actor.talks], dtype=np.int64)
        self._everybody, self._kinds, self._crowd, self.seed = everybody, kinds, crowd, seed
        self._channel = Channel(spec, seed)
        self._stations: dict[int, Station] = {}
        self._bias: dict[int, Floats] = {}
        self._frozen: dict[int, Told] = {}
        self._last: dict[int, bytes] = {}
        self._flying: list[tuple[int, int, bytes]] = []
        self._flown = self._calls = 0
        self._air = Air()
        self.heard: list[bytes] = []
        """Datagrams that the last `listen` brought."""
        self.agent = V2x(self._air, Receiver())

    @property
    def sent(self) -> int:
        return sum(station.sent for station in self._stations.values())

    def listen(self, truth: Truth) -> tuple[Neighbour, ...]:
        amount = {fault.kind: fault.amount for fault in self._faults if fault.acts(truth.t_us)}
        self._calls, self.heard = self._calls + 1, []
        if not (len(self._talking) or self._everybody or self._flying or FaultKind.SPOOF in amount):
            return self.agent.step(truth.t_us)
        rng = Rng(self.seed, "adas/drive/v2x/radio", self._calls).numpy()
        told, away_N2 = self._told(truth, amount, rng)
        if told:
            self._transmit(told, away_N2, truth.t_us, amount, rng)
        while self._flying and self._flying[0][0] <= truth.t_us:
            datagram = heapq.heappop(self._flying)[2]
            self.heard.append(_garbled(datagram, rng) if FaultKind.GARBAGE in amount else datagram)
        self._air.arrived += self.heard
        return self.agent.step(truth.t_us)

    def _told(
        self, truth: Truth, amount: dict[FaultKind, float], rng: np.random.Generator
    ) -> tuple[list[Told], Floats]:
        """What each station's vehicle knows of itself, and where the station is, seen from the ego."""
        others = truth.others
        speaks_N = others.kind_N == Kind.VEHICLE if self._everybody else np.isin(others.id_N, self._talking)
        rows = np.flatnonzero(speaks_N)
        noise_N2 = NOISE_M * amount.get(FaultKind.NOISE, 1.0) * rng.standard_normal((len(rows), 2))
        told = []
        for row, noise in zip(rows, noise_N2, strict=True):
            number, state = int(others.id_N[row]), others.state_N6[row]
            x, y = state[[X, Y]] + self._bias_of(number) + noise
            length, width = others.size_N3[row, [LENGTH, WIDTH]]
            told.append(_said(number, truth.t_us, x, y, state, length, width, Kind(int(others.kind_N[row]))))
        away_N2 = others.state_N6[rows][:, [X, Y]] - truth.ego_6[[X, Y]]
        if FaultKind.FREEZE in amount:
            told = [replace(self._frozen.setdefault(each.station, each), t_us=each.t_us) for each in told]
        else:
            self._frozen.clear()
        if FaultKind.SPOOF in amount:
            told.append(_made_up(truth, amount[FaultKind.SPOOF]))
            away_N2 = np.vstack([away_N2, [[SPOOFER_AWAY_M, 0.0]]])
        return told, away_N2

    def _transmit(
        self, told: list[Told], away_N2: Floats, t_us: int, amount: dict[FaultKind, float], rng: np.random.Generator
    ) -> None:
        latitude_N, longitude_N = FIELD.to_degrees(np.array([[each.x_m, each.y_m] for each in told]))
        skew_us = round(amount.get(FaultKind.SKEW, 0.0) * 1e6)
        sent: list[tuple[int, bytes]] = []
        for n, each in enumerate(told):
            station = self._station(each.station)
            for datagram in station.step(each, float(latitude_N[n]), float(longitude_N[n]), skew_us):
                if FaultKind.STALE in amount and each.station in self._last:
                    datagram = self._last[each.station]
                self._last[each.station] = datagram
                sent.append((n, datagram))
        if not sent:
            return
        row_M = np.array([n for n, _ in sent])
        number_M = np.array([told[n].station for n in row_M], dtype=np.int64)
        air = self._channel.deliver(number_M, away_N2[row_M], len(told) + 1 + self._crowd)
        late_us = round(amount.get(FaultKind.DELAY, 0.0) * 1e6)
        falls_M = rng.random(len(sent)) < amount.get(FaultKind.DROPOUT, 0.0)
        for (_, datagram), arrives, falls, latency_us in zip(
            sent, air.arrived_N, falls_M, air.latency_us_N, strict=True
        ):
            if arrives and not falls:
                self._flown += 1
                heapq.heappush(self._flying, (t_us + int(latency_us) + late_us, self._flown, datagram))

    def _station(self, number: int) -> Station:
        if number not in self._stations:
            phases = BSM_PERIOD_US // TICK_US
            phase_us = TICK_US * (Rng(self.seed, "adas/drive/v2x/phase", number).seed % phases)
            self._stations[number] = Station(number, kinds=self._kinds, phase_us=phase_us)
        return self._stations[number]

    def _bias_of(self, number: int) -> Floats:
        if number not in self._bias:
            draw = Rng(self.seed, "adas/drive/v2x/bias", number).numpy().standard_normal(2)
            self._bias[number] = BIAS_M * draw
        return self._bias[number]


def _said(
    number: int, t_us: int, x: float, y: float, state_6: Floats, length: float, width: float, kind: Kind
) -> Told:
    return Told(
        number, t_us, float(x), float(y), float(state_6[HEADING]), float(state_6[SPEED]), float(state_6[ACCEL]),
        float(state_6[YAW_RATE]), float(length), float(width), CLAIMED_M, kind,
    )  # fmt: skip


def _made_up(truth: Truth, ahead_m: float) -> Told:
    """A car ahead of the ego, as fast as the ego: the lie that no check of a single station finds."""
    ego = truth.ego_6
    x, y = ego[X] + ahead_m * np.cos(ego[HEADING]), ego[Y] + ahead_m * np.sin(ego[HEADING])
    return _said(SPOOFER, truth.t_us, x, y, ego, 4.5, 1.85, Kind.VEHICLE)


def _garbled(datagram: bytes, rng: np.random.Generator) -> bytes:
    """Other octets altogether, or some bits turned, or an end cut off."""
    octets = np.frombuffer(datagram, dtype=np.uint8).copy()
    how = int(rng.integers(3))
    if how == 0:
        return rng.bytes(len(octets))
    if how == 1:
        octets[rng.integers(len(octets), size=4)] ^= rng.integers(1, 256, size=4, dtype=np.uint8)
        return octets.tobytes()
    return datagram[: int(rng.integers(len(octets)))]
