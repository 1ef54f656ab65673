"""Results of the parts that `agentforge evidence adas` recorded, marked as of which code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from agentforge.kit.recorded import Record, code_digest, evidence
from agentforge.phase7_adas.config import PHASE
from agentforge.phase7_adas.drive.evidence.parts import of_fusion, of_latency, of_perception, of_prediction, of_v2x
from agentforge.phase7_adas.drive.evidence.results import Result
from agentforge.phase7_adas.experiments import EXPERIMENTS

_SHOWN = 12  # characters of a digest


def recorded() -> dict[str, list[Result]]:
    """By part; parts that nobody recorded are missing."""
    found: dict[str, list[Result]] = {}
    for experiment in EXPERIMENTS:
        if experiment.name not in ("driving_latency", "driving_parts"):
            continue
        record = evidence(PHASE, experiment).record
        if record is None:
            continue
        source = source_of(record, code_digest(PHASE, experiment))
        for part, results in _parts(record.results):
            found.setdefault(part, []).extend(replace(one, source=source) for one in results)
    return found


def source_of(record: Record, code: str) -> str:
    when = f"recorded on {record.date[:10]}"
    if record.codes == [code]:
        return f"{when}, by this code"
    return f"{when}, by other code ({', '.join(each[:_SHOWN] for each in record.codes)}; this is {code[:_SHOWN]})"


def _parts(told: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, list[Result]]]:
    """From all trials of an experiment; their keys say what they are."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for key, result in told.items():
        groups.setdefault(key if key.startswith("latency/") else key.rpartition("/")[0] or key, []).append(result)
    for name, group in sorted(groups.items()):
        part, _, kind = name.partition("/")
        if part == "perception":
            yield part, of_perception(group)
        elif part == "fusion":
            yield part, of_fusion(group, kind)
        elif part == "prediction":
            yield part, of_prediction(group)
        elif part == "v2x":
            yield part, of_v2x(group[0])
        elif part == "latency":
            yield part, of_latency(group[0])
