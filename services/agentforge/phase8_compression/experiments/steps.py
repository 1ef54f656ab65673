"""What each step brings alone and together: the pipeline's own models, stored by one recipe after another, read
back, and asked the test items. Nothing is searched. Beside them is what others make of the same models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, stated
from agentforge.kit.whole_run import pipeline_models

SEEDS = (42, 1337, 2023)
TEST_ITEMS = 250  # of each family, or all that there are
HEALING = 60  # steps of those whose weights were cut
TERNARY, PLAIN = "ternary", "plain"
KEPT = 0.95  # the bar
ANSWERED = 0.1  # a family of which the input answers less says nothing of what is kept
SMALL = 320  # tokens of the trimmed vocabulary, of 512
_EMBEDDINGS = (
    "float16", "grid8", "grid4", "grid3", "grid2", "hqq3", "gptq3", "vptq4", "vptq2", "seedlm4", "seedlm3",
    "hyper8",
)  # fmt: skip
_LINEARS = (
    "grid3", "grid2", "hqq4", "hqq2", "gptq4", "gptq3", "gptq2", "vptq4", "vptq2", "seedlm4", "seedlm3",
    "hyper8",
)  # fmt: skip
_FEW = {"embeddings": "grid4", "rest": "float16"}
RECIPES: Mapping[str, Mapping[str, dict[str, Any]]] = {
    TERNARY: {
        "as it came": {},
        "rest at 16 bits": {"rest": "float16"},
        **{f"embeddings {name}": {"embeddings": name} for name in _EMBEDDINGS},
        f"{SMALL} tokens": {"vocabulary": SMALL},
        **{f"{share} of units": {"mlp_units": share} for share in (0.75, 0.5)},
        **{f"zeros {share}": {"sparsity": share} for share in ("0.2", "0.4", "0.6")},
        "together": _FEW,
        f"together, {SMALL} tokens": {**_FEW, "vocabulary": SMALL},
        "the seeds' order": {"vocabulary": SMALL, "embeddings": "vptq2", "rest": "float16"},
    },
    PLAIN: {
        "as it came": {},
        "4 bits everywhere": {**_FEW, "linears": "grid4"},
        **{f"linears {name}": {**_FEW, "linears": name} for name in _LINEARS},
        **{
            f"zeros {share}, 4 bits": {**_FEW, "linears": "grid4", "sparsity": share}
            for share in ("0.4", "0.6", "2:4")
        },
        "the seeds' order": {"vocabulary": SMALL, "embeddings": "vptq2", "linears": "seedlm3", "rest": "float16"},
    },
}  # fmt: skip


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.phase8_compression.experiments.peers import peers
    from agentforge.phase8_compression.experiments.recipes import measured

    with TemporaryDirectory(prefix="af-steps-") as scratch:
        home = Path(scratch)
        models = pipeline_models(home, seed)
        return {
            which: {
                "recipes": measured(
                    models[which],
                    seed,
                    RECIPES[which],
                    home / which,
                    healing=HEALING,
                    tokens=SMALL,
                    test_items=TEST_ITEMS,
                ),
                "peers": peers(models[which], seed, home / f"{which}-peers", test_items=TEST_ITEMS),
            }
            for which in (TERNARY, PLAIN)
        }


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    return [row for which in (TERNARY, PLAIN) for row in _rows(which, [one[which] for one in every])]


def _rows(which: str, every: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    text = f"tiny {which} model"
    inputs = [one["recipes"]["as it came"] for one in every]
    for name in RECIPES[which]:
        yield from _told(f"{text}, {name}", [one["recipes"][name] for one in every], inputs)
    for name in every[0]["peers"]:
        yield from _told(f"{text}, by {name}", [one["peers"][name] for one in every], inputs)
    yield from _ternary(text, every) if which == TERNARY else _two_bits(text, every)


def _ternary(text: str, every: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for name in ("together", f"together, {SMALL} tokens", "the seeds' order"):
        kept = [_kept(one["recipes"], name) for one in every]
        claim = f"{text}, {name}: accuracy kept, mean over families"
        yield at_least(claim, KEPT, [mean for mean, _ in kept], "1", method="of the right answers, test items")
        how = f"of families that the input answers {ANSWERED:.0%} of or more"
        worst = f"{text}, {name}: accuracy kept in the family that loses most"
        yield stated(worst, [least for _, least in kept], "1", method=how)
    pairs = [(one["recipes"]["together"], one["peers"]["onnxruntime, 4 bits"]) for one in every]
    yield from _ahead(f"{text}, together, beside onnxruntime's 4 bits", pairs)


def _two_bits(text: str, every: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    pairs = [(one["recipes"]["linears gptq2"], one["peers"]["HQQ, 2 bits"]) for one in every]
    yield from _ahead(f"{text}, layers in 2 bits by GPTQ, beside HQQ's 2 bits", pairs)


def _ahead(claim: str, pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[Row]:
    smaller = [theirs["bytes"] / ours["bytes"] for ours, theirs in pairs]
    better = [ours["accuracy"] - theirs["accuracy"] for ours, theirs in pairs]
    yield at_least(f"{claim}: their bytes over ours", 1.0, smaller, "1")
    yield at_least(f"{claim}: our accuracy less theirs", 0.0, better, "1", method="test items")


def _kept(recipes: Mapping[str, Any], name: str) -> tuple[float, float]:
    before, after = recipes["as it came"], recipes[name]
    shares = [
        after["families"][family] / share for family, share in before["families"].items() if share >= ANSWERED
    ]
    return after["accuracy"] / before["accuracy"], min(shares)


def _told(claim: str, some: Sequence[Mapping[str, Any]], inputs: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    pairs = list(zip(some, inputs, strict=True))
    ratios = [one["float32_bytes"] / each["bytes"] for each, one in pairs]
    lost = [one["accuracy"] - each["accuracy"] for each, one in pairs]
    method = f"test items, of {fmean(one['accuracy'] for one in inputs):.3f}"
    yield stated(f"{claim}: times smaller than float32", ratios, "1", method="whole file of weights")
    yield stated(f"{claim}: accuracy lost", lost, "1", method=method)
    if all("bits_per_byte" in each for each in some):
        bits = [each["bits_per_byte"] - one["bits_per_byte"] for each, one in pairs]
        yield stated(f"{claim}: bits per byte more", bits, "bit/By", method="the items' own text")
