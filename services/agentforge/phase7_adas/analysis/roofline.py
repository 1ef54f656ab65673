"""An estimate of latency: each module takes as long as its arithmetic or its memory traffic, whichever is longer.

Every record says "estimate" and what it assumes. Nothing is added for starting kernels: a bound, not a
forecast. Only weights that stay in a cache from use to use can beat it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.analysis.devices import Device
from agentforge.phase7_adas.analysis.trace import Cost, Trace, group_of

KIND = "estimate"
ASSUMED = (
    "modules run one after another",
    "weights come from memory at each use, and nothing else is read twice",
    "results between nodes stay on the chip",
    "starting kernels and Python take no time",
)


@dataclass(frozen=True, slots=True)
class Precision:
    """How weights of matrix products are kept and computed; what else there is stays as the file has it."""

    name: str
    weight_bits: float | None  # of one weight, its scales included; None: as the file has them
    compute: str  # of products: fp32, fp16 or int8
    said: str


PRECISIONS = {
    each.name: each
    for each in (
        Precision("as-stored", None, "fp32", "weights as the file has them, products in FP32"),
        Precision("fp32", 32, "fp32", "weights of products 32 bits, products in FP32"),
        Precision("fp16", 16, "fp16", "weights of products 16 bits, products in FP16"),
        Precision("int8", 8, "int8", "weights of products 8 bits, products in INT8, their scales not counted"),
        Precision(
            "4-bit", 5, "int8", "weights of products 4 bits and a float32 scale for 32 of them, products in INT8"
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Bound:
    """What one module needs, and which side it waits for."""

    seconds: float
    compute_seconds: float
    memory_seconds: float
    flops: int
    bytes: float

    @property
    def side(self) -> str:
        return "compute" if self.compute_seconds > self.memory_seconds else "memory"

    def __add__(self, other: Bound) -> Bound:
        return Bound(*(getattr(self, name) + getattr(other, name) for name in Bound.__slots__))


def precision(name: str, *, field: str = "precision") -> Precision:
    if name not in PRECISIONS:
        message = f"no precision {name!r}; there are {', '.join(PRECISIONS)}"
        raise InvalidInput(message, reason="UNKNOWN_PRECISION", field=field, next_step="Take one of these.")
    return PRECISIONS[name]


def estimate(traced: Trace, device: Device, kept: Precision) -> dict[str, Any]:
    """One step on one device. Rates are upper bounds: batch x new tokens in the time of the step."""
    bandwidth = device.bandwidth_for(traced.stored_at(kept.weight_bits))
    peaks = device.peaks[kept.compute].value, device.peaks["fp32"].value, bandwidth.value
    leaves = {name: _bound(cost, kept, *peaks) for name, cost in traced.by_module().items()}
    groups: dict[str, Bound] = {}
    for name, bound in leaves.items():
        group = group_of(name)
        groups[group] = groups[group] + bound if group in groups else bound
    whole = sum(leaves.values(), Bound(0.0, 0.0, 0.0, 0, 0.0))
    tokens = traced.dims.get("batch", 1) * traced.dims.get("time", 1)
    spilled = traced.total.activation_bytes_read + traced.total.activation_bytes_written
    return {
        "kind": KIND, "device": device.name, "precision": kept.name, "step": dict(traced.dims),
        "assumptions": [kept.said, *ASSUMED, *_missing(traced)],
        "bandwidth": bandwidth.record(), "peak": device.peaks[kept.compute].record(),
        "seconds": whole.seconds, "seconds_with_results_in_memory": whole.seconds + spilled / bandwidth.value,
        "tokens_per_second_upper_bound": tokens / whole.seconds if whole.seconds else None,
        "flops": whole.flops, "bytes": whole.bytes, "bound_by": whole.side,
        "memory_share": _memory_share(leaves, whole.seconds),
        "layers": _ranked(groups, whole.seconds), "modules": _ranked(leaves, whole.seconds),
    }  # fmt: skip


def compare(estimated: dict[str, Any], measured: Measurement) -> dict[str, Any]:
    """A measured step beside its estimate. The two stay apart; their ratio is neither."""
    if measured.unit != "s":
        raise ValueError(f"{measured.name} is in {measured.unit!r}, the estimate in seconds")
    return {
        "kind": "ratio", "measured_by_estimate": measured.value / estimated["seconds"],
        "estimate": {name: estimated[name] for name in ("kind", "device", "precision", "step", "seconds")},
        "measured": {"kind": "measurement", "name": measured.name, "seconds": measured.value,
                     "method": measured.method, "n": measured.n, "spread": measured.spread},
    }  # fmt: skip


def _weights(cost: Cost, kept: Precision) -> float:
    if kept.weight_bits is None:
        return cost.weight_bytes
    others = cost.weight_bytes - cost.matmul_weight_bytes
    return others + cost.matmul_weights * kept.weight_bits / 8


def _bound(cost: Cost, kept: Precision, peak: float, plain: float, bandwidth: float) -> Bound:
    traffic = _weights(cost, kept) + cost.state_bytes
    compute = cost.matmul_flops / peak + (cost.flops - cost.matmul_flops) / plain
    return Bound(max(compute, traffic / bandwidth), compute, traffic / bandwidth, cost.flops, traffic)


def _memory_share(leaves: dict[str, Bound], seconds: float) -> float:
    waited = sum(each.seconds for each in leaves.values() if each.side == "memory")
    return waited / seconds if seconds else 0.0


def _ranked(bounds: dict[str, Bound], seconds: float) -> list[dict[str, Any]]:
    order = sorted(bounds.items(), key=lambda item: (-item[1].seconds, item[0]))
    return [
        {"kind": KIND, "module": name, "seconds": each.seconds, "bound_by": each.side, "flops": each.flops,
         "bytes": each.bytes, "share": each.seconds / seconds if seconds else 0.0}
        for name, each in order if each.seconds
    ]  # fmt: skip


def _missing(traced: Trace) -> list[str]:
    if not traced.not_counted:
        return []
    names = ", ".join(sorted({each.op for each in traced.not_counted}))
    return [f"{len(traced.not_counted)} nodes are not counted ({names})"]
