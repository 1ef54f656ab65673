"""This machine's own peaks, measured in one process: how fast it reads and copies memory, and multiplies.

Only here is torch imported, and only to be measured. A roofline over measured peaks is still an estimate.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any

from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.analysis.devices import Device, Figure

WORKING_SETS = (4 << 20, 16 << 20, 64 << 20, 256 << 20)  # bytes: within caches and far beyond them
USABLE = 0.75  # of this machine's memory: an assumption, as for the other devices
_METHOD = "in one process after one run to warm up; the best of n runs, the spread is over all of them"


@dataclass(frozen=True, slots=True)
class CpuPeaks:
    threads: int
    read: tuple[tuple[int, Measurement], ...]  # by working set in bytes
    copy: Measurement
    products: dict[str, Measurement]  # fp32, int8
    memory: int  # bytes

    def measurements(self) -> list[Measurement]:
        return [*(each for _, each in self.read), self.copy, *self.products.values()]


def measure_cpu(
    *, sets: Sequence[int] = WORKING_SETS, size: int = 1024, repeats: int = 7, threads: int | None = None
) -> CpuPeaks:
    """`size`: of the square matrices that are multiplied. Takes about a second; other load makes it lower."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with torch.no_grad():
            read = tuple((each, _read(torch, each, repeats)) for each in sorted(sets))
            copy = _copy(torch, max(sets), repeats)
            products = {"fp32": _product(torch, size, repeats), "int8": _int_product(torch, size, repeats)}
        return CpuPeaks(torch.get_num_threads(), read, copy, products, _memory())
    finally:
        torch.set_num_threads(before)


def this_cpu(peaks: CpuPeaks) -> Device:
    """The measured peaks as a device. Whatever was reached over more memory can be reached over less, too."""
    figures = {name: _figure(each) for name, each in peaks.products.items()}
    figures["fp16"] = figures["fp32"]  # an assumption: half precision is no faster here
    ladder: list[tuple[float, Figure]] = []
    best = peaks.copy  # its arrays are as large as the largest working set
    for size, each in reversed(peaks.read):
        best = max(best, each, key=lambda one: one.value)
        ladder.insert(0, (float(size) if ladder else float("inf"), _figure(best)))
    memory = Figure(float(peaks.memory), "By", "what the system says this machine has")
    title = f"this CPU, {peaks.threads} thread{'s' * (peaks.threads > 1)}"
    return Device("this-cpu", title, None, figures, tuple(ladder), memory, USABLE, measured=True)


def _figure(measured: Measurement) -> Figure:
    return Figure(measured.value, measured.unit, f"measured: {measured.method} (n = {measured.n})")


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _best(name: str, work: Callable[[], Any], amount: float, unit: str, method: str, repeats: int) -> Measurement:
    """`amount`: of what one call does, in the unit's upper half."""
    work()
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        rates.append(amount / (time.perf_counter() - start))
    spread = stdev(rates) if repeats > 1 else None
    return Measurement(name, max(rates), unit, f"{method}, {_METHOD}", repeats, spread)


def _read(torch: Any, size: int, repeats: int) -> Measurement:
    """As decoding reads its weights: once through, one product of a matrix with a vector."""
    columns = 1024
    matrix, vector = torch.ones(size // 4 // columns, columns), torch.ones(columns)
    times = max(1, (64 << 20) // size)  # a call of the smallest would be too short to time

    def work() -> None:
        for _ in range(times):
            torch.mv(matrix, vector)

    method = f"matrix of {size >> 20} MiB (float32) times a vector"
    return _best(f"cpu/read_{size >> 20}MiB", work, times * matrix.nbytes, "By/s", method, repeats)


def _copy(torch: Any, size: int, repeats: int) -> Measurement:
    source, target = torch.ones(size // 8), torch.ones(size // 8)
    method = f"STREAM's copy over two arrays of {size >> 21} MiB, what is read and what is written counted"
    return _best("cpu/copy", lambda: target.copy_(source), 2 * source.nbytes, "By/s", method, repeats)


def _product(torch: Any, size: int, repeats: int) -> Measurement:
    left, right = torch.ones(size, size), torch.ones(size, size)
    method = f"product of two {size} x {size} matrices (float32)"
    return _best("cpu/matmul_fp32", lambda: left @ right, 2.0 * size**3, "FLOP/s", method, repeats)


def _int_product(torch: Any, size: int, repeats: int) -> Measurement:
    left = torch.ones(size, size, dtype=torch.int8)
    method = f"product of two {size} x {size} matrices (int8 into int32)"
    return _best("cpu/matmul_int8", lambda: torch._int_mm(left, left), 2.0 * size**3, "OP/s", method, repeats)
