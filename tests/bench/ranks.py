"""Throughput against the number of processes: steps/s of a training, candidates/s of an evolution, as ratios.

With one thread a process, so that the ratio is of processes. More of them than cores bring nothing: the record's
`cores` says how many this machine has.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.whole_run import outputs, run_phase
from tests.bench.record import record

PROCESSES = (1, 2, 4)
REPEATS = 2
STEPS, BATCH = 60, 32
GENERATIONS, CANDIDATES = 8, 8
SKIPPED = 0.25  # of a run's first events: the first steps fill caches
_STAGES = ("reasoning", "memory_integration", "adaptive_computation")


def main(repeats: int = REPEATS, steps: int = STEPS, generations: int = GENERATIONS) -> None:
    training: dict[int, list[float]] = {count: [] for count in PROCESSES}
    evolution: dict[int, list[float]] = {count: [] for count in PROCESSES}
    digests = set()
    with TemporaryDirectory(prefix="af-ranks-") as scratch:
        home = Path(scratch)
        inputs = parents(home)
        for _ in range(repeats):  # in turns, so that what else the machine does hits all alike
            for count in PROCESSES:
                training[count].append(trained(home, count, steps))
                rate, digest = evolved(home, inputs, count, generations)
                evolution[count].append(rate)
                digests.add(digest)
    figures = {
        "cores": len(os.sched_getaffinity(0)), "repeats": repeats,
        "training": told(training, f"steps/s of cognate's trunk (tiny), {BATCH} rows a step, 1 thread a process"),
        "evolution": told(evolution, f"candidates/s of evomerge (tiny), {CANDIDATES} a generation, 1 thread each"),
        "champions_that_differ": len(digests) - 1,
    }  # fmt: skip
    record("ranks", "ratios are stated, not promised; the same champion by any number of processes", figures)


def told(rates: dict[int, list[float]], method: str) -> dict[str, Any]:
    """The median of the repeats, and how many times that of one process."""
    middle = {count: sorted(found)[len(found) // 2] for count, found in rates.items()}
    return {
        "method": method,
        "per_second": {str(count): found for count, found in rates.items()},
        "ratio_to_one": {str(count): value / middle[1] for count, value in middle.items()},
    }


def parents(home: Path) -> list[Path]:
    """They need not know much to be merged."""
    few = ("steps=30", "batch=32", "threads=1")
    short = [f"{stage}.train.{each}" for stage in ("trunk", *_STAGES) for each in few]
    made = outputs(run_phase("cognate", home, ["evaluation.items=10", *short]))
    return [made[name] for name in ("trunk", *_STAGES)]


def trained(home: Path, processes: int, steps: int) -> float:
    """Steps of the trunk in a second."""
    settings = [f"processes={processes}", "evaluation.items=10", f"trunk.train.steps={steps}"]
    settings += [f"{stage}.train.{each}" for stage in _STAGES for each in ("steps=1", "warmup=0")]
    every = [f"{stage}.train.{each}" for stage in ("trunk", *_STAGES) for each in (f"batch={BATCH}", "threads=1")]
    line = run_phase("cognate", home, [*settings, *every])
    return rate(events(home, line, "cognate"), trunk_steps)


def evolved(home: Path, inputs: Sequence[Path], processes: int, generations: int) -> tuple[float, str]:
    """Candidates of a generation in a second, and the champion's digest."""
    settings = [f"processes={processes}", f"generations={generations}", "patience=0", "threads=1"]
    line = run_phase("evomerge", home, settings, inputs=inputs)
    every = events(home, line, "evomerge")
    digest = next(str(each["sha256"]) for each in line["outputs"])
    return CANDIDATES * rate(every, lambda each: each.get("sample", {}).get("data", {}).get("generation")), digest


def trunk_steps(event: dict[str, Any]) -> float | None:
    progress = event.get("progress", {})
    return progress["done"] if progress.get("message") == "trunk" else None


def rate(every: Sequence[dict[str, Any]], count_of: Callable[[dict[str, Any]], float | None]) -> float:
    """How much was counted a second, between the first event after the start and the last."""
    points = [(datetime.fromisoformat(each["time"]).timestamp(), count_of(each)) for each in every]
    counted = [(at, count) for at, count in points if count is not None]
    (begin, first), (end, last) = counted[int(SKIPPED * (len(counted) - 1))], counted[-1]
    return (last - first) / (end - begin)


def events(home: Path, line: dict[str, Any], phase: str) -> list[dict[str, Any]]:
    log = home / "runs" / line["run_id"] / phase / "events.jsonl"
    return [json.loads(each) for each in log.read_text().splitlines()]
