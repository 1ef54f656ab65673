"""One model's analysis: a record for programs and a table for people. Counts and estimates, no measurement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agentforge.edge.graph.facts import GraphFacts
from agentforge.phase7_adas.analysis.devices import Device
from agentforge.phase7_adas.analysis.memory import Sizes
from agentforge.phase7_adas.analysis.roofline import Precision, estimate
from agentforge.phase7_adas.analysis.trace import Trace

FORMAT = 1
CONTEXTS = (64, 256, 1024, 4096, 16384)
TOP = 8


def analysis(
    model: Any,
    facts: GraphFacts,
    devices: Iterable[tuple[Device, Sequence[Precision]]],
    contexts: Sequence[int] = CONTEXTS,
    *,
    at: int | None = None,
    batch: int = 1,
) -> dict[str, Any]:
    """`at`: tokens seen when the steps are taken; by default the longest of the contexts that the model takes.

    The same for the same file and devices. A device that was measured stands apart, under "measured_devices".
    """
    sizes = Sizes(model, facts, batch)
    lengths = [each for each in sorted(set(contexts)) if facts.context is None or each <= facts.context]
    if facts.context is not None and not lengths:
        lengths = [facts.context]
    seen = at if at is not None else lengths[-1]
    steps = {"decode": sizes.trace(seen, 1), "prefill": sizes.trace(seen, sizes.piece)}
    found: dict[str, Any] = {
        "format": FORMAT, "context": seen, "graph": facts.record,
        "counts": {name: _counts(each) for name, each in steps.items()},
        "devices": [], "measured_devices": [],
    }  # fmt: skip
    for device, kept in devices:
        found["measured_devices" if device.measured else "devices"].append({
            "device": device.record(),
            "estimates": [{name: estimate(each, device, one) for name, each in steps.items()} for one in kept],
            "memory": [_memory(sizes, device, one, lengths) for one in kept],
        })  # fmt: skip
    return found


def table(record: dict[str, Any], top: int = TOP) -> str:
    """For a model card: what a step costs, how fast it could be at best, and which layers bound that."""
    decode, prefill = record["counts"]["decode"], record["counts"]["prefill"]
    lines = [
        f"Counted on the exported graph, with {record['context']:,} tokens seen:",
        "",
        "| step | new tokens | FLOPs | weights read | state read and written | not counted |",
        "|---|---|---|---|---|---|",
        *(_step(name, each) for name, each in (("decode", decode), ("prefill", prefill))),
        "",
        "Rooflines (estimate, no measurement): what reads its weights from memory at each use is no faster.",
        "",
        "| device | weights | decode step | tokens/s at most | prefill at most | memory-bound | longest context |",
        "|---|---|---|---|---|---|---|",
    ]
    every = [*record["devices"], *record["measured_devices"]]
    lines += [_row(each, place) for each in every for place in range(len(each["estimates"]))]
    for each in every[:1]:
        lines += [
            "",
            f"Layers that bound a decode step on {each['device']['title']} (estimate):",
            "",
            *_top(each, top),
        ]
    return "\n".join(lines) + "\n"


def _counts(traced: Trace) -> dict[str, Any]:
    return {
        "kind": "count", "step": traced.dims, "total": traced.total.record(), "parameters": traced.parameters,
        "parameters_by_module": traced.parameters_by_module,
        "weight_bytes_stored": traced.weight_bytes_stored, "weight_bytes_once": traced.weight_bytes_once,
        "peak_activation_bytes": traced.peak_activation_bytes, "nodes_at_load": traced.at_load,
        "modules": {name: cost.record() for name, cost in traced.by_module().items()},
        "kinds": {name: cost.record() for name, cost in traced.by_kind().items()},
        "not_counted": [
            {"node": each.name, "op": each.op, "module": each.module, "why": each.why}
            for each in traced.not_counted
        ],
    }  # fmt: skip


def _memory(sizes: Sizes, device: Device, kept: Precision, lengths: Sequence[int]) -> dict[str, Any]:
    return {
        "precision": kept.name, "largest_context": sizes.largest_context(device, kept),
        "usable_bytes": device.usable_bytes,
        "contexts": [sizes.need(each, kept).record() for each in lengths],
    }  # fmt: skip


def _step(name: str, counts: dict[str, Any]) -> str:
    total, missing = counts["total"], len(counts["not_counted"])
    return (
        f"| {name} | {counts['step']['time']} | {total['flops'] / 1e6:,.1f} M "
        f"| {total['weight_bytes'] / 1e6:,.1f} MB "
        f"| {total['state_bytes'] / 1e6:,.2f} MB | {missing} nodes |"
    )


def _row(found: dict[str, Any], place: int) -> str:
    decode, prefill = found["estimates"][place]["decode"], found["estimates"][place]["prefill"]
    largest = found["memory"][place]["largest_context"]
    return (
        f"| {found['device']['title']} | {decode['precision']} | {decode['seconds'] * 1e3:,.3f} ms "
        f"| {decode['tokens_per_second_upper_bound']:,.0f} | {prefill['tokens_per_second_upper_bound']:,.0f} "
        f"| {decode['memory_share']:.0%} | {'no limit' if largest is None else f'{largest:,}'} |"
    )


def _top(found: dict[str, Any], top: int) -> list[str]:
    decode = found["estimates"][0]["decode"]
    rows = [
        f"| {each['module']} | {each['share']:.1%} | {each['bound_by']} | {each['bytes'] / 1e6:,.2f} MB "
        f"| {each['flops'] / 1e6:,.2f} M |"
        for each in decode["layers"][:top]
    ]
    return ["| layer | share of the step | waits for | bytes | FLOPs |", "|---|---|---|---|---|", *rows]
