"""Power and temperatures, as JetPack's `tegrastats` prints them while something runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from typing import Any

# "CPU 311/311" or "VDD_IN 4067mW/4067mW": milliwatts now and on average; "RAM 721/31927MB" is none.
RAIL = re.compile(r"(?<!\S)([A-Z][A-Z0-9_]*) (\d+)(?:mW)?/\d+(?:mW)?(?=\s|$)")
ZONE = re.compile(r"(?<!\S)(\w+)@(-?\d+(?:\.\d+)?)C(?=\s|$)")
NO_SENSOR = ("PMIC",)  # prints 50 or 100 whatever happens
WHOLE = ("VDD_IN", "POM_5V_IN")  # rails that feed the others


def read_line(line: str) -> tuple[dict[str, int], dict[str, float]]:
    """Milliwatts by rail, degrees Celsius by zone."""
    rails = {name: int(value) for name, value in RAIL.findall(line)}
    zones = {name: float(value) for name, value in ZONE.findall(line) if name not in NO_SENSOR}
    return rails, {name: value for name, value in zones.items() if value > -50}  # -256: that part sleeps


class Tegrastats:
    """Runs for as long as the `with` block; `why_not` says why there is nothing."""

    def __init__(self, interval: float = 0.1, program: str = "tegrastats") -> None:
        self._interval, self._program = interval, program
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self.why_not = ""

    def __enter__(self) -> Tegrastats:
        found = shutil.which(self._program)
        if found is None:
            self.why_not = "no tegrastats"
            return self
        command = [found, "--interval", str(int(self._interval * 1000))]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._lines.append(line)

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        if not any(any(read_line(line)) for line in self._lines):
            self.why_not = f"tegrastats told of no rail and no zone in {len(self._lines)} lines"

    def summary(self) -> dict[str, Any] | None:
        if self.why_not:
            return None
        read = [read_line(line) for line in self._lines]
        told: dict[str, Any] = {"lines": len(read)}
        told["power_mw"] = _summed([rails for rails, _ in read])
        told["temperature_c"] = _summed([zones for _, zones in read])
        whole = [name for name in WHOLE if name in told["power_mw"]]
        told["whole_mw"] = {"is": whole[0] if whole else "sum of the rails' means"}
        means = {name: facts["mean"] for name, facts in told["power_mw"].items()}
        told["whole_mw"]["mean"] = means[whole[0]] if whole else sum(means.values())
        return told


def _summed(samples: list[Any]) -> dict[str, dict[str, float]]:
    names = sorted({name for sample in samples for name in sample})
    found = {name: [float(sample[name]) for sample in samples if name in sample] for name in names}
    return {
        name: {"first": values[0], "mean": sum(values) / len(values), "max": max(values)}
        for name, values in found.items()
    }
