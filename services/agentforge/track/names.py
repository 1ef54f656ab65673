"""What things are called at W&B. Phases measure under the seeds' names already; the few that differ are here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentforge.kit.errors import ForgeError

_SEEDS = (
    (r"cognate/(?!trunk/)(\w+)/parameters", r"model/total_params/\1"),
    (r"cognate/(?!trunk/)(\w+)/loss", r"training/loss/\1"),
    (r"cognate/(?!trunk/)(\w+)/perplexity/(\w+)", r"training/perplexity/\1/\2"),
    (r"bitnet/packed/2_bits/whole_file/ratio", r"bitnet/compression_ratio"),
    (r"adas/search/chosen/latency_ms", r"adas/performance/latency_ms"),
)
"""Ours to the seeds', where both mean the same in the same unit. A value is told under both names."""

_GIVEN = re.compile(r"phase(\d+)[-_](\w+)", re.ASCII)
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")

PREFIXES = {"training": ("forge",), "cognate": ("model", "training")}
"""Where metrics of a phase begin with another word than its name."""

DECIDES = {
    "cognate": "cognate/{output}/margin",
    "evomerge": "evomerge/champion/fitness",
    "bitnet": "bitnet/finetuned/accuracy",
    "training": "forge/trained/accuracy",
    "baking": "baking/tool_accuracy",
    "adas": "adas/model/accuracy",
    "compression": "compression/accuracy_retention",
}
"""Higher is better: the artifact whose phase measured the highest value so far is `best`. Others get no `best`."""


def seed_name(name: str) -> str | None:
    """The seeds' name of a measurement, where it is not ours."""
    for ours, theirs in _SEEDS:
        if match := re.fullmatch(ours, name):
            return match.expand(theirs)
    return None


def phase_key(phase: str, order: Sequence[str] = ()) -> str:
    """ "evomerge", "phase2-evomerge" and "phase2_evomerge" as "phase2_evomerge"; a stranger keeps its name."""
    if match := _GIVEN.fullmatch(phase):
        return f"phase{match[1]}_{match[2]}"
    known = order or _pipeline_names()
    return f"phase{known.index(phase) + 1}_{phase}" if phase in known else phase


def bare(phase: str) -> str:
    """ "phase2-evomerge" as "evomerge"."""
    match = _GIVEN.fullmatch(phase)
    return match[2] if match else phase


def short(metric: str, phase: str) -> str:
    """ "evomerge/best_fitness" as "best_fitness", for a parent that puts the phase's key before it."""
    return metric.removeprefix(f"{bare(phase)}/")


def artifact_name(*parts: str) -> str:
    """Letters that W&B takes, and at most as many."""
    return _UNFIT.sub("_", "_".join(parts))[:128]


def _pipeline_names() -> Sequence[str]:
    from agentforge.kit.phase import load_pipeline

    try:
        return load_pipeline().names
    except ForgeError:  # a logger in somebody's own program needs no pipeline
        return ()
