"""Size and decode steps of a 25 M model's files beside PyTorch eager, in turns in one process; and their parity."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, stated

THREADS = (1, 2)
PLAIN, INT8, FOUR_BITS, EAGER = "cpu_fp32.onnx", "cpu_int8.onnx", "cpu_4bit.onnx", "pytorch"
MODELS = {
    "titan": "Titan, 25.1 M, two passes",
    "titan_plain": "Titan without memory",
    "llama": "a Llama of its sizes",
}
BARS = {INT8: 1.7, FOUR_BITS: 2.5}  # times as fast as the file in float32
MOST_BYTES = 20_000_000
PARITY = 1e-4
SEEN, STEPS, TURNS = 128, 40, 3


def trials() -> list[Trial]:
    return [
        Trial(f"{model}/{threads}", {"model": model, "threads": threads}) for model in MODELS for threads in THREADS
    ]


def measure(model: str, threads: int) -> dict[str, Any]:
    from agentforge.phase7_adas.experiments.large import measured

    return measured(model, threads, seen=SEEN, steps=STEPS, turns=TURNS)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    return [
        row
        for model, text in MODELS.items()
        for row in _of(text, {each: results[f"{model}/{each}"] for each in THREADS})
    ]


def _of(text: str, by_threads: Mapping[int, Mapping[str, Any]]) -> list[Row]:
    first = by_threads[THREADS[0]]
    found = [
        at_most(f"{text}: bytes of the 4-bit file", MOST_BYTES, [first["bytes"][FOUR_BITS]], "By"),
        stated(f"{text}: bytes of the int8 file", [first["bytes"][INT8]], "By"),
        stated(f"{text}: bytes of the float32 file", [first["bytes"][PLAIN]], "By"),
        at_most(f"{text}: parity with PyTorch, float32", PARITY, [first["parity"][PLAIN]], "1",
                method=f"largest difference of a logit over {first['shapes']} shapes, of the largest logit"),
        *(stated(f"{text}: the same, {name}", [first["parity"][name]], "1") for name in BARS),
        stated(f"{text}: seconds to export", [first["export_s"]], "s"),
    ]  # fmt: skip
    for threads, told in by_threads.items():
        name = f"{text}, {threads} thread{'s' * (threads > 1)}"
        method = f"turns of {STEPS} interleaved decode steps after {SEEN} tokens; ratio of medians"
        for file, bar in BARS.items():
            found.append(at_least(f"{name}: {file}, times as fast as float32", bar, _ratios(told, PLAIN, file), "1",
                                  method=method))  # fmt: skip
            for part in ("p50", "p99"):
                found.append(stated(f"{name}: {part} of a step, {file}", _times(told, file, part), "s"))
        for file in (PLAIN, EAGER):
            for part in ("p50", "p99"):
                found.append(stated(f"{name}: {part} of a step, {file}", _times(told, file, part), "s"))
        found.append(stated(f"{name}: 4-bit over PyTorch eager", _ratios(told, EAGER, FOUR_BITS), "1"))
    return found


def _ratios(told: Mapping[str, Any], base: str, file: str) -> list[float]:
    return [median(turn[base]) / median(turn[file]) for turn in told["turns"]]


def _times(told: Mapping[str, Any], file: str, part: str) -> list[float]:
    found = []
    for turn in told["turns"]:
        times = sorted(turn[file])
        found.append(median(times) if part == "p50" else times[min(len(times) - 1, int(0.99 * len(times)))])
    return found
