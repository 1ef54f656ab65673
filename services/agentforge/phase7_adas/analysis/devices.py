"""Devices as data: what their makers say of them, each number with its source. Nothing here was measured by us.

Peaks are of dense products on the GPU alone: a maker's headline TOPS often count sparsity or other accelerators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from agentforge.kit.errors import InvalidInput

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Figure:
    value: float
    unit: str
    source: str

    def record(self) -> dict[str, object]:
        return {"value": self.value, "unit": self.unit, "source": self.source}


@dataclass(frozen=True, slots=True)
class Mode:
    """A power mode: its share of the highest clocks, or None where we know no number."""

    name: str
    gpu_clock: float | None  # Hz
    memory_clock: float | None  # Hz
    source: str


@dataclass(frozen=True, slots=True)
class Device:
    name: str
    title: str
    sm: int | None
    peaks: Mapping[str, Figure]  # by what products are computed in: fp32, fp16, int8
    bandwidth: tuple[tuple[float, Figure], ...]  # (working set up to so many bytes, its bandwidth), ascending
    memory: Figure
    usable: float  # share of the memory that a model may take
    modes: tuple[Mode, ...] = ()
    measured: bool = False  # peaks and bandwidth come from a measurement, not from a maker

    @property
    def usable_bytes(self) -> int:
        return int(self.memory.value * self.usable)

    def bandwidth_for(self, working_set: float) -> Figure:
        """Small working sets stay in a cache, where a cache's bandwidth is known."""
        return next((figure for limit, figure in self.bandwidth if working_set <= limit), self.bandwidth[-1][1])

    def record(self) -> dict[str, object]:
        return {
            "name": self.name, "title": self.title, "sm": self.sm, "measured": self.measured,
            "peaks": {name: figure.record() for name, figure in self.peaks.items()},
            "bandwidth": [{"working_set": limit, **figure.record()} for limit, figure in self.bandwidth
                          if limit != float("inf")] + [self.bandwidth[-1][1].record()],
            "memory": self.memory.record(), "usable": self.usable,
            "modes": [{"name": each.name, "gpu_clock": each.gpu_clock, "memory_clock": each.memory_clock,
                       "source": each.source} for each in self.modes],
        }  # fmt: skip


KEPT = 0.75
"""Of a Jetson's memory, which its system and CUDA share with the model: an assumption, measured nowhere."""


def _gpu(cores: int, tensor_cores: int, clock: float, products: int, source: str) -> Mapping[str, Figure]:
    """`products`: half-precision multiply-adds of one tensor core in a cycle; twice as many in INT8."""
    fp32, fp16 = 2 * cores * clock, 2 * tensor_cores * products * clock
    counted = (
        f"{tensor_cores} tensor cores x {products} multiply-adds (INT8: {2 * products}) at {clock / 1e6:,.0f} MHz"
    )
    return MappingProxyType({
        "fp32": Figure(fp32, "FLOP/s", f"{cores} cores x one multiply-add at {clock / 1e6:,.0f} MHz; {source}"),
        "fp16": Figure(fp16, "FLOP/s", f"{counted}, dense; {source}"),
        "int8": Figure(2 * fp16, "OP/s", f"{counted}, dense; {source}"),
    })  # fmt: skip


def _memory(bits: int, clock: float, source: str) -> tuple[tuple[float, Figure], ...]:
    said = f"{bits} bits, two transfers a cycle at {clock / 1e6:,.0f} MHz; {source}"
    return ((float("inf"), Figure(bits / 8 * 2 * clock, "By/s", said)),)


_XAVIER = "NVIDIA, Jetson AGX Xavier module data sheet as its resellers quote it (32 GB, 136.5 GB/s)"
_NX = "NVIDIA, Jetson Xavier NX: preliminary data sheet DA-09366 (384 cores, 48 tensor cores, 1,100 MHz at most)"
_NX_MODES = "NVIDIA, nvpmodel_t194_p3668.conf of L4T 35.1"
_ORIN = (
    "NVIDIA, Jetson AGX Orin series technical brief TB_10749-001 v1.2, as others quote it (64 GB: "
    "2,048 cores, 64 tensor cores, 5.3 FP32 TFLOPS, 170 sparse INT8 TOPS of the GPU, 204.8 GB/s)"
)

XAVIER = Device(
    "agx-xavier", "Jetson AGX Xavier (32 GB)", 72, _gpu(512, 64, 1.377e9, 64, _XAVIER),
    _memory(256, 2.133e9, _XAVIER), Figure(32 * GIB, "By", _XAVIER), KEPT,
    (Mode("MAXN", 1.377e9, 2.133e9, _XAVIER),
     *(Mode(name, None, None, f"{_XAVIER}; the clocks of this mode are not verified here")
       for name in ("30 W", "15 W", "10 W"))),
)  # fmt: skip
XAVIER_NX = Device(
    "xavier-nx", "Jetson Xavier NX (8 GB)", 72, _gpu(384, 48, 1.1e9, 64, _NX),
    _memory(128, 1.866e9, f"{_NX_MODES} (20 W and MAXN: 59.7 GB/s)"), Figure(8 * GIB, "By", _NX), KEPT,
    (Mode("20 W", 1.1e9, 1.866e9, _NX_MODES), Mode("15 W", 1.1e9, 1.6e9, _NX_MODES),
     Mode("10 W", 0.80325e9, 1.6e9, _NX_MODES)),
)  # fmt: skip
ORIN = Device(
    "agx-orin", "Jetson AGX Orin (64 GB)", 87, _gpu(2048, 64, 1.3e9, 256, _ORIN),
    _memory(256, 3.2e9, _ORIN), Figure(64 * GIB, "By", _ORIN), KEPT,
    (Mode("MAXN", 1.3e9, 3.2e9, _ORIN),
     *(Mode(name, None, None, f"{_ORIN}; the clocks of this mode are not verified here")
       for name in ("50 W", "30 W", "15 W"))),
)  # fmt: skip

DEVICES: Mapping[str, Device] = MappingProxyType({each.name: each for each in (XAVIER, XAVIER_NX, ORIN)})


def device(name: str, *, field: str = "device") -> Device:
    """A device of the list, at its highest clocks or, as "xavier-nx@10 W", in a power mode."""
    base, _, mode = name.partition("@")
    if base not in DEVICES:
        message = f"no profile of a device {base!r}; there are {', '.join(DEVICES)}"
        raise InvalidInput(message, reason="UNKNOWN_DEVICE", field=field, next_step="Take one of these.")
    found = DEVICES[base]
    return found if not mode else _in_mode(found, mode, field)


def _in_mode(whole: Device, name: str, field: str) -> Device:
    fastest = whole.modes[0]
    mode = next((each for each in whole.modes if each.name == name), None)
    if mode is None or mode.gpu_clock is None or mode.memory_clock is None:
        known = ", ".join(each.name for each in whole.modes if each.gpu_clock)
        message = f"the clocks of {whole.title} in the mode {name!r} are not known here"
        raise InvalidInput(message, reason="UNKNOWN_MODE", field=field, next_step=f"Take one of: {known}.")
    assert fastest.gpu_clock
    assert fastest.memory_clock
    slower, starved = mode.gpu_clock / fastest.gpu_clock, mode.memory_clock / fastest.memory_clock
    said = f"scaled to the clocks of the mode {name}"
    return replace(
        whole, name=f"{whole.name}@{name}", title=f"{whole.title}, {name}",
        peaks={key: _scaled(each, slower, said) for key, each in whole.peaks.items()},
        bandwidth=tuple((limit, _scaled(each, starved, said)) for limit, each in whole.bandwidth),
    )  # fmt: skip


def _scaled(figure: Figure, factor: float, said: str) -> Figure:
    return replace(figure, value=figure.value * factor, source=f"{figure.source}; {said}")
