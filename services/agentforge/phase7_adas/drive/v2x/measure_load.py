"""Two hundred stations over real UDP: one process sends, this one receives on one core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

from agentforge.kit.errors import RunFailed
from agentforge.phase7_adas.drive.v2x.agent import V2x
from agentforge.phase7_adas.drive.v2x.load import now_us
from agentforge.phase7_adas.drive.v2x.receiver import Receiver
from agentforge.phase7_adas.drive.v2x.udp import Address, Listener, Speaker, UdpLink

TICK_US = 50_000
QUIET_TICKS = 10
"""Ticks without a datagram, after the sender has ended, that end the receiving."""


def measure_load(stations: int = 200, seconds: float = 10.0, receive_buffer: int | None = None) -> dict[str, Any]:
    """Receives as the pipeline would, once per tick. CPU share is this process's, of one core."""
    listener = Listener() if receive_buffer is None else Listener(receive_buffer=receive_buffer)
    speaker = Speaker(listener.address)
    agent = V2x(UdpLink(listener, speaker), Receiver())
    cores = _pinned()
    sender = sending(listener.address, stations, seconds, cores)
    wall_ms, cpu_ms = [], []
    try:
        began_s, cpu_s, quiet = time.monotonic(), time.process_time(), 0
        next_us = now_us()
        heard_s = began_s
        while sender.poll() is None or quiet < QUIET_TICKS:
            next_us += TICK_US
            time.sleep(max(0, next_us - now_us()) * 1e-6)
            before, wall, cpu = agent.received, time.perf_counter(), time.thread_time()
            agent.step(now_us())
            if agent.received > before:
                wall_ms.append((time.perf_counter() - wall) * 1e3)
                cpu_ms.append((time.thread_time() - cpu) * 1e3)
                heard_s, quiet = time.monotonic(), 0
            else:
                quiet += 1
        share = (time.process_time() - cpu_s) / (time.monotonic() - began_s)
        told = ended(sender)
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
        if sender.poll() is None:
            sender.kill()
            sender.communicate()
        listener.close()
        speaker.close()
    return {
        "stations": stations, "seconds": round(heard_s - began_s, 2), "sender": told, "received": agent.received,
        "accepted": agent.receiver.accepted, "lost_by_count": told["sent"] - agent.received,
        "lost_by_sequence": agent.lost, "dropped": dict(agent.dropped), "cpu_share_of_one_core": share,
        "step_wall_ms": spread(wall_ms), "step_cpu_ms": spread(cpu_ms),
        "steps_over_ceiling": sum(ms > V2x.deadline_ms for ms in wall_ms), "ceiling_ms": V2x.deadline_ms,
        "pinned": bool(cores), "load_average": round(os.getloadavg()[0], 2), "cores": os.cpu_count(),
    }  # fmt: skip


def sending(
    address: Address, stations: int, seconds: float, cores: set[int] | None = None
) -> subprocess.Popen[str]:
    """The sender process; with the cores that it may use, less the first, where there are several."""
    command = [sys.executable, "-m", "agentforge.phase7_adas.drive.v2x.load", "--port", str(address.port)]
    command += ["--host", address.host, "--stations", str(stations), "--seconds", str(seconds)]
    made = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if cores and len(cores) > 1:
        os.sched_setaffinity(made.pid, sorted(cores)[1:])
    return made


def ended(sender: subprocess.Popen[str]) -> dict[str, float]:
    """What the sender printed."""
    out, _ = sender.communicate(timeout=60)
    if sender.returncode:
        raise RunFailed(f"the sender of V2X messages ended with {sender.returncode}", reason="V2X_SENDER_FAILED")
    told: dict[str, float] = json.loads(out)
    return told


def spread(values: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "max": max(values), "n": len(values)}


def _pinned() -> set[int] | None:
    """Puts this process on its first core; gives what it could use before, or None where that cannot be done."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    return cores
