"""The V2X agent: what came in by radio since the last tick, as neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from agentforge.phase7_adas.drive.agent import Neighbour
from agentforge.phase7_adas.drive.v2x.denm import Event
from agentforge.phase7_adas.drive.v2x.receiver import Receiver
from agentforge.phase7_adas.drive.v2x.station import Station
from agentforge.phase7_adas.drive.v2x.told import Told

MOST_PER_STEP = 128
"""Datagrams that one step looks at; the rest waits in the socket. 200 stations bring 100 in a tick of 50 ms."""


class Link(Protocol):
    def receive(self, most: int) -> list[bytes]: ...

    def send(self, datagrams: Iterable[bytes]) -> None: ...


class V2x:
    name = "v2x"
    deadline_ms = 1.0

    def __init__(
        self,
        link: Link,
        receiver: Receiver | None = None,
        station: Station | None = None,
        most_per_step: int = MOST_PER_STEP,
    ) -> None:
        """Without a station it only listens. The receiver should know the station's number as its own."""
        self._link, self._station, self._most = link, station, most_per_step
        self.receiver = receiver or Receiver(station.number if station else 0)

    def step(self, t_us: int, near_xy: tuple[float, float] | None = None) -> tuple[Neighbour, ...]:
        """`t_us` is the ego's clock; `near_xy` where it believes to be, if it trusts that."""
        return self.receiver.take(self._link.receive(self._most), t_us, near_xy)

    def tell(self, told: Told) -> None:
        """Sends what is due of ourselves."""
        if self._station is None:
            raise ValueError("an agent without a station tells nothing")
        latitude, longitude = self.receiver.origin.to_degrees(np.array([[told.x_m, told.y_m]]))
        self._link.send(self._station.step(told, float(latitude[0]), float(longitude[0])))

    @property
    def sent(self) -> int:
        return self._station.sent if self._station else 0

    @property
    def received(self) -> int:
        return self.receiver.received

    @property
    def dropped(self) -> Counter[str]:
        """By reason, one of receiver.REASONS."""
        return self.receiver.dropped

    @property
    def lost(self) -> int:
        """Messages whose numbers are missing between others': on the air, or in a full socket buffer."""
        return self.receiver.lost

    @property
    def events(self) -> list[Event]:
        """Warnings that the last step heard."""
        return self.receiver.events
