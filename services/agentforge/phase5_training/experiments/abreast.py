"""Measures for `throughput`: the phase's loop by several ranks, each a process of its own, one thread each.

As a rank: `python -m agentforge.phase5_training.experiments.abreast MEETING`, which prints what it measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit import ranks as kit
from agentforge.phase5_training.experiments.throughput import RANKS

ROUNDS = 3
_WARM, _STEPS = 5, 20
_CURVE = 200  # steps of a training so short that its curve has a point for each of them


def ranks(size: str) -> dict[str, Any]:
    """Of each number of ranks, round by round: tokens/s, those of the busiest rank's CPU time, and the losses; and
    the losses of a plain model."""
    found: dict[str, Any] = {str(count): {"speeds": [], "of_cpu": [], "losses": []} for count in RANKS}
    loads = []
    for _ in range(ROUNDS):
        for count in RANKS:
            told = _together(size, count, "ternary")
            tokens = sum(each["tokens"] for each in told)
            mine = found[str(count)]
            mine["speeds"].append(tokens / max(each["seconds"] for each in told))
            mine["of_cpu"].append(tokens / max(each["cpu_seconds"] for each in told))
            mine["losses"].append(told[0]["losses"])
            loads.append(os.getloadavg()[0])
    for count in RANKS:
        found[str(count)]["plain_losses"] = [_together(size, count, "plain")[0]["losses"]]
    return {**found, "cores": len(os.sched_getaffinity(0)), "steps": _STEPS, "loads": loads}


def _together(size: str, count: int, kind: str) -> list[dict[str, Any]]:
    with TemporaryDirectory(prefix="af-ranks-") as place:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", __name__, str(Path(place) / "meeting"), size, kind], stdout=subprocess.PIPE,
                env=os.environ | {name: str(value) for name, value in _place(rank, count).items()},
            )
            for rank in range(count)
        ]  # fmt: skip
        try:
            lines = [process.communicate(timeout=600)[0] for process in processes]
        finally:
            for process in processes:
                process.kill()
    return [json.loads(line) for line in lines]


def _place(rank: int, count: int) -> dict[str, Any]:
    """As torchrun tells it."""
    names = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
    return {**names, "OMP_NUM_THREADS": 1, "GLOO_SOCKET_IFNAME": "lo"}


def main(meeting: str, size: str, kind: str) -> None:
    from agentforge.phase5_training.experiments import turns

    own = kit.of_environment()
    if own.world > 1:
        kit.join(own, Path(meeting))
    training = turns.Turns(turns.fresh(size, kind, _CURVE))
    training.take(_WARM)
    kit.current().meet()
    tokens, began, cpu = training.tokens, time.perf_counter(), time.process_time()
    training.take(_STEPS)
    told = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    losses = [point["loss"] for point in training.training.curve]
    sys.stdout.write(json.dumps({**told, "tokens": training.tokens - tokens, "losses": losses}))
    sys.stdout.flush()
    kit.current().meet()
    os._exit(0)  # gloo's threads may outlive us


if __name__ == "__main__":
    main(*sys.argv[1:])
