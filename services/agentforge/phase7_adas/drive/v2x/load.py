"""A process that speaks for many stations over UDP, so that a receiver can be measured. Prints one line of JSON.

python -m agentforge.phase7_adas.drive.v2x.load --port 5005 --stations 200 --seconds 10
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

from agentforge.phase7_adas.drive.v2x.envelope import What
from agentforge.phase7_adas.drive.v2x.local import FIELD
from agentforge.phase7_adas.drive.v2x.station import BSM_PERIOD_US, Station
from agentforge.phase7_adas.drive.v2x.told import Told
from agentforge.phase7_adas.drive.v2x.udp import LOOPBACK, Address, Speaker

STEP_US = 5_000
"""The stations' phases are spread over steps of so much."""
SPEED_MPS, GAP_M = 13.0, 8.0


def now_us() -> int:
    """The clock that all processes of a machine share; senders and receivers take it for the world's."""
    return time.monotonic_ns() // 1000


class Traffic:
    """Stations one behind the other on a straight road, all equally fast."""

    def __init__(self, stations: int, begin_us: int, first: int = 1) -> None:
        self._begin_us, self._first = begin_us, first
        phases = BSM_PERIOD_US // STEP_US
        self._groups: list[list[Station]] = [[] for _ in range(phases)]
        for n in range(stations):
            phase_us = begin_us + n % phases * STEP_US
            self._groups[n % phases].append(Station(first + n, kinds=(What.BSM,), phase_us=phase_us))

    def step(self, n: int, t_us: int) -> list[bytes]:
        """What is due in the n-th step, stamped with t_us."""
        group = self._groups[n % len(self._groups)]
        if not group:
            return []
        gone_m = SPEED_MPS * (t_us - self._begin_us) * 1e-6
        x_N = np.array([(station.number - self._first) * GAP_M for station in group]) + gone_m
        latitude_N, longitude_N = FIELD.to_degrees(np.column_stack([x_N, np.zeros(len(x_N))]))
        out: list[bytes] = []
        for station, x, latitude, longitude in zip(
            group, x_N.tolist(), latitude_N.tolist(), longitude_N.tolist(), strict=True
        ):
            out += station.step(Told(station.number, t_us, x, 0.0, 0.0, SPEED_MPS), latitude, longitude)
        return out


def speak(address: Address, stations: int, seconds: float, first: int = 1) -> dict[str, float]:
    speaker = Speaker(address)
    begin_us = now_us()
    traffic = Traffic(stations, begin_us, first)
    late_us, cpu_s = 0, time.process_time()
    for n in range(round(seconds * 1e6 / STEP_US)):
        due_us = begin_us + n * STEP_US
        wait_us = due_us - now_us()
        if wait_us > 0:
            time.sleep(wait_us * 1e-6)
        t_us = now_us()
        late_us = max(late_us, t_us - due_us)
        speaker.send(traffic.step(n, t_us))
    took_s = (now_us() - begin_us) * 1e-6
    speaker.close()
    return {
        "sent": speaker.sent, "refused": speaker.refused, "seconds": took_s, "late_ms": late_us / 1e3,
        "cpu_share": (time.process_time() - cpu_s) / took_s,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--stations", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--first", type=int, default=1)
    asked = parser.parse_args()
    told = speak(Address(asked.host, asked.port), asked.stations, asked.seconds, asked.first)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
