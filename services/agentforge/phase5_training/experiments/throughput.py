"""How fast the phase's loop is: with its options on, beside nanochat's, by several ranks; what checkpoints cost.

What is compared stands in one process, on one thread, warm, and takes some steps each in turns. Time is CPU time of
the process, so that whoever else is on the machine counts little; of ranks and of checkpoints it is wall time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, stated

SIZES = {"tiny": "tiny preset"}
BAR = 0.8  # of the tokens/s with every option off, and of nanochat's
RANKS = (1, 2, 4)
AGREE = 1e-4  # between losses, relative: sums of floats in another order, magnified by every step
SHARE = 0.05  # of the time, at most
EVERY = {"states kept": 100, "checkpoints": 1_000}  # steps, by default
DEFAULT = "the default config"


def trials() -> list[Trial]:
    parts = ("options", "nanochat")
    found = [Trial(f"{part}/{size}", {"part": part, "size": size}) for part in parts for size in SIZES]
    found.append(Trial("kept", {"part": "kept", "size": "full"}))
    return [*found, Trial("ranks", {"part": "ranks", "size": "tiny"})]


def measure(part: str, size: str) -> dict[str, Any]:
    from agentforge.phase5_training.experiments import abreast, turns, yardstick

    parts = {"options": turns.options, "nanochat": yardstick.beside, "ranks": abreast.ranks, "kept": turns.kept}
    return parts[part](size)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    found = []
    for size in SIZES:
        found += _options(size, results[f"options/{size}"])
    for size in SIZES:
        found += _nanochat(size, results[f"nanochat/{size}"])
    return [*found, *_ranks(results["ranks"]), *_kept(results["kept"])]


def _options(size: str, found: Mapping[str, Any]) -> list[Row]:
    """`speeds`: tokens/s of CPU time of each round, by case."""
    speeds, off = found["speeds"], found["speeds"]["off"]
    size_told = f"ternary, {found['parameters']:,} parameters, batches of {found['rows']}"
    shape = f"{size_told}, {found['steps']} steps a round"
    without = f"; without {', '.join(found['left_out'])}, which ask the model" if found["left_out"] else ""
    claim = f"{SIZES[size]}: training tokens/s of {DEFAULT}, of every option off"
    method = f"{shape}; on: {', '.join(found['on'])}{without}"
    rows = [at_least(claim, BAR, _ratios(speeds[DEFAULT], off), "1", method=method)]
    for case in speeds:
        if case not in ("off", DEFAULT):
            rows.append(stated(f"{SIZES[size]}: {case} alone", _ratios(speeds[case], off), "1"))
    return [*rows, stated(f"{SIZES[size]}: every option off", off, "token/s", method="of CPU time")]


def _nanochat(size: str, found: Mapping[str, Any]) -> list[Row]:
    speeds, parameters, (count, length) = found["speeds"], found["parameters"], found["batch"]
    equal = f"{parameters['ours']:,} parameters beside {parameters['nanochat']:,}, batches of {count} x {length}"
    method = f"{equal}; model and optimiser compiled, as its script does it; ours is not; Muon and AdamW, float32"
    claim = f"{SIZES[size]}: training tokens/s with every option off, beside nanochat's loop at the same size"
    compiled, eager = speeds["nanochat, compiled"], speeds["nanochat"]
    return [
        at_least(claim, BAR, _ratios(speeds["ours"], compiled), "1", method=method),
        stated(
            f"{SIZES[size]}: beside nanochat's loop, its model not compiled", _ratios(speeds["ours"], eager), "1"
        ),
        stated(
            f"{SIZES[size]}: with ternary layers, beside nanochat's loop", _ratios(speeds["ternary"], compiled), "1"
        ),
    ]  # fmt: skip


def _ranks(found: Mapping[str, Any]) -> list[Row]:
    alone, rows = found["1"], []
    cores = f"{found['cores']} cores, one thread a rank"
    for count in RANKS[1:]:
        together = found[str(count)]
        wide = f", more ranks than cores: {cores}" if count > found["cores"] else f"; {cores}"
        steps = f"largest relative distance of the losses of {len(alone['losses'][0])} steps"
        plain = _apart(together["plain_losses"], alone["plain_losses"])
        claim = f"{count} ranks: losses of plain weights are those of one rank"
        rows.append(at_most(claim, AGREE, plain, "1", method=steps))
        method = f"{steps}: codes and 8-bit activations make large steps of rounding errors"
        ternary = _apart(together["losses"], alone["losses"])
        rows.append(stated(f"{count} ranks: distance with ternary weights", ternary, "1", method=method))
        first = _apart(*([losses[:1] for losses in each["losses"]] for each in (together, alone)))
        rows.append(stated(f"{count} ranks: distance with ternary weights, first step", first, "1"))
        rows.append(
            stated(
                f"{count} ranks: tokens/s of the whole group, of one rank's",
                _ratios(together["speeds"], alone["speeds"]), "1",
                method=f"wall time, gloo{wide}; load of the machine meanwhile {mean(found['loads']):.1f}",
            )
        )  # fmt: skip
        rows.append(
            stated(
                f"{count} ranks: tokens/s of the busiest rank's CPU time, of one rank's",
                _ratios(together["of_cpu"], alone["of_cpu"]), "1",
                method="what a machine with a free core for each rank could do at most",
            )
        )  # fmt: skip
    return rows


def _apart(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> list[float]:
    """Largest relative distance, round by round."""
    return [max(abs(a / b - 1) for a, b in zip(*each, strict=True)) for each in zip(ours, theirs, strict=True)]


def _kept(found: Mapping[str, Any]) -> list[Row]:
    """Shares of the time at the default intervals."""
    rows = []
    step = median(found["step"])
    for what, every in EVERY.items():
        shares = [seconds / (every * step + seconds) for seconds in found[what]]
        steps = f"every {every:,} steps of {step:.2f} s"
        method = f"{steps}; {found['parameters']:,} parameters, {found['rows']} rows a step"
        rows.append(at_most(f"{what}: share of the time", SHARE, shares, "1", method=method))
        rows.append(stated(f"{what}: each", found[what], "s", method="wall time"))
    return [*rows, stated("a checkpoint on disk", [found["bytes"]], "By")]


def _ratios(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(first, second, strict=True)]
