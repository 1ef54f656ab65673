"""The driving pipeline in closed loop, in generated worlds: what it hits, why it stops, how it answers faults; and
how long a tick takes, alone and beside a loaded core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, not_testable, stated

SEEDS = (1, 2, 3)
MINUTES = 20.0  # of each seed: two or three variations of every third scenario, or so
TICKS = 100_000
TOTAL_MS, REACTION_MS = 10.0, 100.0
BESIDES = ("alone", "loaded")
_STAGES = {"fusion": 3.0, "perception": 5.0, "prediction": 8.0, "planning": 10.0}


def trials() -> list[Trial]:
    return [
        *(Trial(f"drives/{seed}", {"what": "drives", "seed": seed}) for seed in SEEDS),
        *(Trial(f"latency/{beside}", {"what": "latency", "beside": beside}) for beside in BESIDES),
    ]


def measure(what: str, seed: int = 0, beside: str = "") -> dict[str, Any]:
    if what == "drives":
        from agentforge.phase7_adas.drive.closed_loop.many import drive_many, tasks
        from agentforge.phase7_adas.drive.closed_loop.summary import results

        return {one.key: one.told() for one in results(drive_many(tasks(MINUTES, seed)))}
    from agentforge.phase7_adas.drive.closed_loop import latency

    segments = latency.record()
    if beside == "loaded":
        with latency.loaded_neighbour():
            found = latency.drive_again(segments, TICKS)
    else:
        found = latency.drive_again(segments, TICKS)
    told = {one.key.rpartition("/")[2]: one.told() for one in latency.results(found, beside)}
    return {"numbers": told, "answers": found.answers}


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    drives = [results[f"drives/{seed}"] for seed in SEEDS]
    how = f"{MINUTES:g} generated minutes of variations at each seed"

    def of(key: str) -> list[float]:
        return [one[key]["value"] for one in drives if key in one]

    def hours(key: str, text: str) -> Row:
        spans = ", ".join(f"{one[key]['low']:.3g} to {one[key]['high']:.3g}" for one in drives)
        return stated(text, of(key), "1/h", method=f"{how}; 95 % by seed: {spans}")

    found = [
        at_most(
            "Drives in which the ego causes a collision", 0.0, of("closed_loop/caused_collisions"), "1", method=how
        ),
        hours("closed_loop/false_stops_per_hour", "false stops"),
        hours("closed_loop/needless_brakes_per_hour", "needless hard braking"),
        hours("closed_loop/minimal_risk_per_hour", "the monitor takes over"),
        stated("ends as is wanted", of("closed_loop/as_wanted"), "1"),
        at_most("Drives with an injected fault that end unsafely", 0.0, of("faults/unsafe"), "1", method=how),
        stated("faults noticed", of("faults/noticed"), "1"),
        at_most(
            "Slowest mode change after a fault is noticed", REACTION_MS, of("faults/reacted_ms"), "ms", method=how
        ),
        at_most("Noticed faults whose mode never came", 0.0, of("faults/unanswered"), "1", method=how),
    ]
    return [*found, *_latency(results), not_testable("Latency on a Jetson", f"≤ {TOTAL_MS:g} ms", "none was there")]


def _latency(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for beside in BESIDES:
        numbers = results[f"latency/{beside}"]["numbers"]
        how = f"{numbers['total_p99_ms']['n']:,} ticks, one thread, {beside}"
        found.append(
            at_most(
                f"A tick, p99, {beside}",
                TOTAL_MS,
                [numbers["total_p99_ms"]["value"]],
                "ms",
                theirs=True,
                method=how,
            )
        )
        for part in ("p50", "p99_9", "max"):
            found.append(stated(f"the same, {part}", [numbers[f"total_{part}_ms"]["value"]], "ms"))
        for stage, ceiling in _STAGES.items():
            name = f"{stage.capitalize()}, p99, {beside}"
            found.append(
                at_most(name, ceiling, [numbers[f"{stage}_p99_ms"]["value"]], "ms", theirs=True, method=how)
            )
            found.append(stated("beyond its ceiling", [numbers[f"{stage}_overruns"]["value"]], "1"))
    return found
