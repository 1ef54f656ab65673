"""How a graph's processes fare, sampled while it is at work: only what was measured is told."""

from __future__ import annotations

import time

import psutil

from agentforge.kit.agents.breakers import STATES, Breakers
from agentforge.kit.measure import Measurement

_MB = 1e6


class PipelineHealthMonitor:
    """Of this process and its children. `prefix`: as in "baking/health"."""

    def __init__(self, prefix: str, every_s: float = 0.5) -> None:
        self._prefix, self._every_s = prefix, every_s
        self._own = psutil.Process()
        self._resident: list[float] = []  # bytes
        self._sampled = float("-inf")
        self._began = time.monotonic()
        self._cpu_before = self._cpu_s()
        self.attempts = 0
        self.failures = 0

    def sample(self) -> None:
        """Cheap to call often: it looks once in `every_s`."""
        if time.monotonic() - self._sampled >= self._every_s:
            self._sampled = time.monotonic()
            self._resident.append(sum(_resident(each) for each in (self._own, *self._children())))

    def ended(self, *, failed: bool) -> None:
        self.attempts += 1
        self.failures += failed

    def measurements(self, breakers: Breakers) -> list[Measurement]:
        wall_s = time.monotonic() - self._began
        found = []
        if wall_s > 0:
            share = (self._cpu_s() - self._cpu_before) / wall_s
            method = f"CPU seconds of this process and its children a second, over {wall_s:.1f} s; 1 is one core"
            found.append(Measurement(f"{self._prefix}/cpu_usage", share, "1", method, 1))
        if self._resident:
            method = "resident memory of this process and its children, shared pages counted in each"
            held = [each / _MB for each in self._resident]
            name = f"{self._prefix}/memory_usage_mb"
            found.append(Measurement.of_samples(name, held, "MBy", f"{method}; mean of samples"))
            name = f"{self._prefix}/memory_peak_mb"
            found.append(Measurement(name, max(held), "MBy", f"{method}; largest sample", len(held)))
        if self.attempts:
            rate, method = self.failures / self.attempts, "attempts of agents that failed, of all"
            found.append(Measurement(f"{self._prefix}/error_rate", rate, "1", method, self.attempts))
        method = "0 closed, 0.5 half open, 1 open"
        for name, state in breakers.states().items():
            found.append(
                Measurement(f"{self._prefix}/circuit_breaker_status/{name}", STATES[state], "1", method, 1)
            )
        return found

    def _children(self) -> list[psutil.Process]:
        return self._own.children(recursive=True)

    def _cpu_s(self) -> float:
        """With children that have ended; those at work count when they end."""
        times = self._own.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0.0
