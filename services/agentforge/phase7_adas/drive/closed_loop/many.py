"""Many drives, a line of JSON each: what was driven already is not driven again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from agentforge.kit.digests import digest_code, digest_file, digest_json
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.closed_loop.pictures import Pictures
from agentforge.phase7_adas.drive.closed_loop.run import Watch, drive
from agentforge.phase7_adas.drive.closed_loop.summary import wrong
from agentforge.phase7_adas.drive.orchestrator.pipeline import Tick
from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS
from agentforge.phase7_adas.drive.scenarios.scenario import Scenario, Wanted
from agentforge.phase7_adas.drive.scenarios.vary import vary
from agentforge.phase7_adas.drive.truth import Truth

OUTCOMES, PICTURES = "outcomes.jsonl", "pictures"
ROUNDS = 1_000_003
"""More than anybody drives: seeds of two calls never meet."""


@dataclass(frozen=True)
class Task:
    scenario: str
    seed: int


def tasks(minutes: float, seed: int, names: Sequence[str] = ()) -> list[Task]:
    """Every scenario in turn, or these, a new variation each round, until the minutes are full. Each round has an
    order of its own, so that minutes that end within one favour nobody: whose name begins with A least of all."""
    chosen: list[Task] = []
    left_s = minutes * 60
    for round_ in count(1):
        order = Rng(seed, "adas/drive/closed_loop/order", round_).numpy().permutation(sorted(names or SCENARIOS))
        for name in order.tolist():
            if left_s <= 0:
                return chosen
            chosen.append(Task(name, seed * ROUNDS + round_))
            left_s -= SCENARIOS[name].seconds
    raise AssertionError  # counting never ends


def one(task: Task, pictures: Path | None = None, watch: Watch | None = None) -> Outcome:
    """`pictures`: where each scenario has a folder of its name, for its strip and clip."""
    scenario, taken = varied(task), Pictures()

    def both(tick: Tick, truth: Truth) -> None:
        taken(tick, truth)
        if watch is not None:
            watch(tick, truth)

    outcome = drive(scenario, task.seed, watch=both if pictures is not None else watch).outcome
    if pictures is not None:
        title = f"{task.scenario}: {scenario.summary}" + (f" (variation {task.seed})" if task.seed else "")
        taken.write(pictures / task.scenario, scenario.road, title, wrong=wrong(outcome))
    return outcome


def varied(task: Task) -> Scenario:
    """Under the name of what it is a variation of. Seed 0 is the scenario as it is written."""
    scenario = SCENARIOS[task.scenario]
    return replace(vary(scenario, task.seed), name=scenario.name) if task.seed else scenario


def drive_many(
    wanted: Sequence[Task], out: Path | None = None, jobs: int = 1, told: Callable[[Outcome], object] = repr
) -> list[Outcome]:
    """In the order of `wanted`, whatever finished first; a killed call goes on in `out` where it was. `told` hears
    of each, also of what was driven before."""
    file = out / OUTCOMES if out is not None else None
    known = dict(outcomes_of(file)) if file is not None else {}
    for task in wanted:
        if task in known:
            told(known[task])
    missing = [each for each in wanted if each not in known]
    for task, outcome in zip(missing, _driven(missing, out, jobs), strict=True):
        known[task] = outcome
        told(outcome)
        if file is not None:
            write_down(file, outcome)
    return [known[each] for each in wanted]


def _driven(missing: list[Task], out: Path | None, jobs: int) -> Iterator[Outcome]:
    each = partial(one, pictures=out / PICTURES if out is not None else None)
    if jobs == 1 or len(missing) < 2:
        yield from map(each, missing)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_one_thread) as pool:
        yield from pool.map(each, missing)


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def write_down(file: Path, outcome: Outcome) -> None:
    with file.open("a") as log:
        log.write(json.dumps({"code": code(), **asdict(outcome)}) + "\n")


def outcomes_of(file: Path) -> Iterator[tuple[Task, Outcome]]:
    """A last line that a kill cut short is driven again. What other code drove is not mixed in."""
    if not file.exists():
        return
    whole = file.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    file.write_bytes(whole)
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            values: dict[str, Any] = json.loads(line)
            same = values.pop("code") == code()
            values |= {name: Wanted(values[name]) for name in ("ended", "wanted")}
            outcome = Outcome(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _not_ours(file, f"line {number} tells of no drive ({error})") from None
        if not same:
            raise _not_ours(file, f"line {number} is of another version of the pipeline")
        yield Task(outcome.scenario, outcome.seed), outcome


def _not_ours(file: Path, fact: str) -> InvalidInput:
    step = "Give a new folder, or remove this one."
    return InvalidInput(f"{file}: {fact}", reason="OTHER_DRIVES", field=str(file), next_step=step)


@cache
def code() -> str:
    """Of the pipeline, and of what it learned."""
    room = Path(__file__).parents[1]
    learned = sorted(file for file in room.glob("*/weights/*") if file.is_file())
    return digest_json([digest_code("agentforge.phase7_adas.drive"), *map(digest_file, learned)])
