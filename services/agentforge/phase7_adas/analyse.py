"""What the model costs on paper: counted on its graph, estimated for devices, and refused where it cannot fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentforge.edge.graph.export import Exported
from agentforge.kit.audience import Audience
from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.analysis.cpu import measure_cpu, this_cpu
from agentforge.phase7_adas.analysis.devices import Device, device
from agentforge.phase7_adas.analysis.memory import Sizes
from agentforge.phase7_adas.analysis.report import CONTEXTS, analysis, table
from agentforge.phase7_adas.analysis.roofline import Precision, precision
from agentforge.phase7_adas.profile import tokens_seen
from agentforge.phase7_adas.start import Start

_ON_DEVICES = ("fp16", "int8")
_HERE = ("fp32", "int8", "4-bit")


@dataclass(frozen=True)
class Analysis:
    record: dict[str, Any]
    measured: list[Measurement]  # of this CPU, which its estimates stand on

    @property
    def text(self) -> str:
        return table(self.record)


def check_fits(start: Start, exported: Exported) -> None:
    """The longest text has room beside the weights."""
    longest = exported.facts.context or max(CONTEXTS)
    target = device(start.config.device, field="device")
    Sizes(exported.model, exported.facts).check(longest, target, precision("fp16"), field="export.context")


def analyse(context: Audience, start: Start, exported: Exported) -> Analysis:
    devices: list[tuple[Device, Sequence[Precision]]] = [
        (device(name), [precision(each) for each in _ON_DEVICES]) for name in start.config.profile.devices
    ]
    measured: list[Measurement] = []
    if start.config.profile.this_cpu:
        peaks = measure_cpu()
        measured = peaks.measurements()
        devices.append((this_cpu(peaks), [precision(each) for each in _HERE]))
    found = Analysis(analysis(exported.model, exported.facts, devices, at=tokens_seen(exported.facts)), measured)
    context.sample("adas/analysis", {"table": found.text})
    return found
