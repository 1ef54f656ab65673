"""The same evolution on one process, two and four (gloo): the same champion, in how much time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, exactly, stated
from agentforge.kit.whole_run import outputs, run_phase
from agentforge.phase2_evomerge.experiments.scores import PARENTS, SEEDS

PROCESSES = (1, 2, 4)
GENERATIONS = 8
_STEPS = 30  # parents need not know much to be merged


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-ranks-") as scratch:
        home = Path(scratch)
        short = [f"{stage}.train.{s}" for stage in ("trunk", *PARENTS) for s in (f"steps={_STEPS}", "batch=32")]
        made = outputs(run_phase("cognate", home, [f"seed={seed}", "evaluation.items=10", *short]))
        inputs = [made[name] for name in ("trunk", *PARENTS)]
        return {str(count): _evolved(home, inputs, seed, count) for count in PROCESSES}


def _evolved(home: Path, inputs: list[Path], seed: int, processes: int) -> dict[str, Any]:
    settings = [f"seed={seed}", f"processes={processes}", f"generations={GENERATIONS}", "patience=0", "threads=1"]
    line = run_phase("evomerge", home, settings, inputs=inputs)
    digest = next(output["sha256"] for output in line["outputs"])
    log = home / "runs" / line["run_id"] / "evomerge" / "events.jsonl"
    return {"sha256": digest, "seconds": line["seconds"], "generation_seconds": _span(log) / GENERATIONS}


def _span(log: Path) -> float:
    """From the end of the first generation to that of the last."""
    events = [json.loads(line) for line in log.read_text().splitlines()]
    times = [datetime.fromisoformat(each["time"]) for each in events if "sample" in each]
    return (times[-1] - times[0]).total_seconds()


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for count in PROCESSES[1:]:
        same = [float(each[str(count)]["sha256"] == each["1"]["sha256"]) for each in results.values()]
        method = "SHA-256 of the published champion; one thread a process, gloo"
        found.append(exactly(f"{count} processes give the same champion as one", 1, same, "1", method=method))
    for count in PROCESSES:
        method = f"{GENERATIONS} generations of 8, tiny models"
        seconds = [each[str(count)]["generation_seconds"] for each in results.values()]
        found.append(stated(f"{count} processes: a generation", seconds, "s", method=method))
        whole = [each[str(count)]["seconds"] for each in results.values()]
        found.append(stated(f"{count} processes: the whole run, start included", whole, "s"))
    return found
