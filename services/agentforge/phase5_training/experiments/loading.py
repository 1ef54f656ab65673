"""Whether training ever waits for its data: share of a step's time, and 10 GB read in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, stated

SEEDS = (42, 1337, 2023)
SHAPES = {"tiny": "tiny preset"}
KINDS = {"items": "items", "tokens": "token files", "text": "text", "mix": "all three"}
PLAIN, THREAD = "in the loop", "in a thread"
STALL = 0.02
GROWTH = 64 << 20  # bytes: 1/160 of the file


def trials() -> list[Trial]:
    stalls = [
        Trial(f"stall/{shape}/{way}/{seed}", {"part": "stall", "shape": shape, "way": way, "seed": seed})
        for shape in SHAPES
        for way in (PLAIN, THREAD)
        for seed in SEEDS
    ]
    return [*stalls, *(Trial(f"large/{kind}", {"part": "large", "kind": kind}) for kind in ("tokens", "text"))]


def measure(part: str, **arguments: Any) -> dict[str, Any]:
    from agentforge.phase5_training.experiments import large, stalls

    return stalls.measure(**arguments) if part == "stall" else large.measure(**arguments)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = [row for shape in SHAPES for row in _stalls(shape, results)]
    return [*found, *_tokens(results["large/tokens"]), *_text(results["large/text"])]


def _stalls(shape: str, results: Mapping[str, dict[str, Any]]) -> list[Row]:
    """The phase makes its batches in a thread; in the loop only where difficulty is steered by what it measures."""
    found = []
    for kind, text in KINDS.items():
        of = {way: [results[f"stall/{shape}/{way}/{seed}"][kind] for seed in SEEDS] for way in (PLAIN, THREAD)}
        shares = {way: [one["waited_s"] / one["whole_s"] for one in of[way]] for way in of}
        one = of[THREAD][0]
        claim = f"{SHAPES[shape]}, {text}: share of a step that waits for data"
        method = f"{one['steps']} steps of {one['rows']} rows of up to {one['length']} tokens, one thread of a CPU"
        found += [
            at_most(claim, STALL, shares[THREAD], "1", method=method),
            stated(f"{claim}, made {PLAIN}", shares[PLAIN], "1"),
            stated(
                f"{claim}, made {PLAIN}, by CPU time",
                [each["waited_cpu_s"] / each["whole_cpu_s"] for each in of[PLAIN]],
                "1",
            ),
            stated(
                f"{SHAPES[shape]}, {text}: a step", [each["whole_s"] / each["steps"] for each in of[PLAIN]], "s"
            ),
        ]
    return found


def _tokens(one: Mapping[str, Any]) -> list[Row]:
    whole = f"{one['file_bytes'] / 1e9:.0f} GB of token files"
    method = f"{one['spread_rows']:,} rows in the order of training, then all {one['rows']:,} of {one['length']}"
    return [
        at_most(f"{whole}: memory above that before", GROWTH, [one["peak_bytes"]], "By", method=method),
        stated(f"{whole}: opened and split", [one["opened_s"]], "s"),
        stated(f"{whole}: rows in the order of training", [one["spread_rows"] / one["spread_s"]], "1/s"),
        stated(f"{whole}: from beginning to end", [one["file_bytes"] / one["whole_s"]], "By/s"),
    ]


def _text(one: Mapping[str, Any]) -> list[Row]:
    whole = f"{one['file_bytes'] / 1e9:.0f} GB of JSONL"
    method = (
        f"{one['trained_bytes'] / 1e9:.2g} GB as rows, {one['read_bytes'] / 1e9:.2g} GB as documents, "
        f"and rows from a place {one['resumed_at'] / 1e9:.2g} GB behind the beginning"
    )
    return [
        at_most(f"{whole}: memory above that before", GROWTH, [one["peak_bytes"]], "By", method=method),
        stated(f"{whole}: to the held-out rows", [one["opened_s"]], "s"),
        stated(f"{whole}: as rows", [one["trained_bytes"] / one["trained_s"]], "By/s"),
        stated(f"{whole}: as documents", [one["read_bytes"] / one["read_s"]], "By/s"),
        stated(f"{whole}: to the first row of a resumed run", [one["resumed_s"]], "s"),
    ]
