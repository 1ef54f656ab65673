"""How long a tick of the driving pipeline takes, alone and beside a loaded core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, not_testable, stated

TICKS = 100_000
TOTAL_MS = 10.0
BESIDES = ("alone", "loaded")
_STAGES = {"fusion": 3.0, "perception": 5.0, "prediction": 8.0, "planning": 10.0}
_PARTS = {
    "within_aim": "ticks of at most 8 ms",
    "unforeseen": "ticks without time for a prediction: the last one is moved on",
    "normal": "ticks in the mode NORMAL",
}


def trials() -> list[Trial]:
    return [Trial(f"latency/{beside}", {"beside": beside}) for beside in BESIDES]


def measure(beside: str) -> dict[str, Any]:
    from agentforge.phase7_adas.drive.closed_loop import latency

    segments = latency.record()
    if beside == "loaded":
        with latency.loaded_neighbour():
            found = latency.drive_again(segments, TICKS)
    else:
        found = latency.drive_again(segments, TICKS)
    told = {one.key.rpartition("/")[2]: one.told() for one in latency.results(found, beside)}
    return {"numbers": told, "answers": found.answers, "modes": found.modes}


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    missing = not_testable("Latency on a Jetson", f"≤ {TOTAL_MS:g} ms", "none was there")
    return [*_latency(results), missing]


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
        for part in ("p50", "p99"):
            claim = f"the same with what was made of readings before the tick, {part}"
            found.append(stated(claim, [numbers[f"work_{part}_ms"]["value"]], "ms"))
        for key, claim in _PARTS.items():
            found.append(stated(claim, [numbers[key]["value"]], "1"))
        for stage, ceiling in _STAGES.items():
            name = f"{stage.capitalize()}, p99, {beside}"
            found.append(
                at_most(name, ceiling, [numbers[f"{stage}_p99_ms"]["value"]], "ms", theirs=True, method=how)
            )
            found.append(stated("beyond its ceiling", [numbers[f"{stage}_overruns"]["value"]], "1"))
            if f"{stage}_in_tick_p99_ms" in numbers:
                in_tick = [numbers[f"{stage}_in_tick_p99_ms"]["value"]]
                found.append(stated("of it in the tick, p99", in_tick, "ms"))
    return found
