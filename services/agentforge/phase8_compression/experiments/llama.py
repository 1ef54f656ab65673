"""A Llama-shaped student of the pipeline's model, plain and ternary: llama.cpp's GGUF files beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, not_testable, stated
from agentforge.kit.rng import Rng
from agentforge.kit.whole_run import pipeline_models

SEEDS = (42, 1337, 2023)
TEST_ITEMS = 250  # of each family, or all that there are
STEPS = 300
SHAPE: dict[str, Any] = {"hidden": 256, "layers": 2, "heads": 4, "intermediate": 512}  # rows of llama.cpp's blocks
PLAIN, TERNARY = "plain Llama student, 1.4 M", "ternary Llama student, 1.4 M"
GGUF = {PLAIN: ("Q8_0", "Q4_K_M", "Q4_0", "Q2_K"), TERNARY: ("TQ2_0",)}
OURS = {
    PLAIN: {
        "8 bits": {"embeddings": "grid8", "linears": "grid8"},
        "4 bits": {"embeddings": "grid4", "linears": "grid4"},
        "4 bits, GPTQ": {"embeddings": "grid4", "linears": "gptq4"},
        "3 bits, GPTQ": {"embeddings": "grid4", "linears": "gptq3"},
        "2 bits, GPTQ": {"embeddings": "grid4", "linears": "gptq2"},
        "2 bits, VPTQ": {"embeddings": "grid4", "linears": "vptq2"},
    },
    TERNARY: {
        "codes, embeddings at 8 bits": {"embeddings": "grid8"},
        "codes, embeddings at 4 bits": {"embeddings": "grid4"},
    },
}
_MAIN = {PLAIN: ("2 bits, GPTQ", "Q2_K"), TERNARY: ("codes, embeddings at 4 bits", "TQ2_0")}


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.phase8_compression.experiments.recipes import asked, start_of
    from agentforge.train.machine import settled

    with TemporaryDirectory(prefix="af-llama-") as scratch:
        home = Path(scratch)
        model = pipeline_models(home, seed)["ternary"]
        start = start_of(model, seed, healing=STEPS, tokens=320, test_items=TEST_ITEMS)
        found: dict[str, Any] = {}
        with settled(start.config.machine):
            for who in (PLAIN, TERNARY):
                student = _student(start, seed, ternary=who == TERNARY)
                whole = 4 * sum(each.numel() for each in student.parameters())
                found[who] = {
                    "student": asked(start, student, start.codec, whole),
                    "ours": {
                        name: _ours(start, student, genes, home / "ours") for name, genes in OURS[who].items()
                    },
                    "gguf": {kind: _gguf(start, student, kind, home / f"{who}-{kind}") for kind in GGUF[who]},
                }
        return found


def _student(start: Any, seed: int, *, ternary: bool) -> Any:
    from agentforge.phase8_compression.distil.student import student_of
    from agentforge.phase8_compression.distil.training import distil
    from agentforge.shrink.config import HealingConfig

    student = student_of(start.model, seed=seed, kind="llama", ternary=ternary, **SHAPE)
    training = HealingConfig(steps=STEPS, batch=64, warmup=20, threads=1, lr=3e-3, embedding_lr=1e-3, muon_lr=0.02)
    reading = start.having(batch=64)
    distil(reading, student, training, number=0, name="compression/llama", dice=Rng(seed, "compression/llama"))
    return student.eval()


def _ours(start: Any, student: Any, genes: dict[str, str], place: Path) -> dict[str, Any]:
    import shutil

    from agentforge.codecs.model import load_compressed, save_compressed
    from agentforge.phase8_compression.agents.quantiser import grams_for, plan_of
    from agentforge.phase8_compression.experiments.recipes import asked

    plan = plan_of(student, {**genes, "rest": "float16"})
    grams = grams_for(start, student, start.codec, plan)
    shutil.rmtree(place, ignore_errors=True)
    size = save_compressed(place, student, plan, grams=grams, seed=start.config.seed).stat().st_size
    return asked(start, load_compressed(place), start.codec, size)


def _gguf(start: Any, student: Any, kind: str, place: Path) -> dict[str, Any]:
    """Answers are llama.cpp's own. What of a file is not weights (tokenizer, settings) is told apart."""
    from agentforge.data.scoring import score_items
    from agentforge.data.splits import Split
    from agentforge.phase8_compression.formats import FORMATS, Options
    from agentforge.phase8_compression.worth import families

    form, options = FORMATS["gguf"], Options(threads=1, gguf=(kind,), ternary=kind == "TQ2_0")
    missing = form.fits(student.config.to_dict(), options)
    if missing:
        return {"missing": missing[0].message}
    made = form.make(student, start.codec, place, options)
    items = start.items(Split.TEST, start.config.evaluation.test_items)
    right = families(items, score_items(items, form.answers(made, start.codec, items, batch=64)))
    [types] = made.told["types"].values()
    return {
        "bytes": sum(each["bytes"] for each in types.values()), "file": made.path(made.files[0]).stat().st_size,
        "accuracy": sum(right.values()) / len(right), "families": right,
    }  # fmt: skip


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    return [row for who in (PLAIN, TERNARY) for row in _rows(who, [one[who] for one in every])]


def _rows(who: str, every: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    whole = [one["student"] for one in every]
    yield stated(f"{who}: accuracy", [one["accuracy"] for one in whole], "1", method="test items")
    for name in OURS[who]:
        yield from _told(f"{who}, ours: {name}", [one["ours"][name] for one in every], whole)
    for kind in GGUF[who]:
        some = [one["gguf"][kind] for one in every]
        absent = next((one["missing"] for one in some if "missing" in one), None)
        if absent is not None:
            yield not_testable(f"{who}, llama.cpp: {kind}", "beside ours", absent)
            continue
        yield from _told(f"{who}, llama.cpp: {kind}", some, whole)
    yield from _ahead(who, every)


def _ahead(who: str, every: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    own, kind = _MAIN[who]
    if any("missing" in one["gguf"][kind] for one in every):
        return
    pairs = [(one["ours"][own], one["gguf"][kind]) for one in every]
    method = "bytes of weights alone of theirs, the whole file of ours"
    yield at_least(
        f"{who}: bytes of {kind} over those of ours ({own})", 1.0, [b["bytes"] / a["bytes"] for a, b in pairs], "1",
        method=method,
    )  # fmt: skip
    yield at_least(
        f"{who}: accuracy of ours ({own}) less that of {kind}", 0.0,
        [a["accuracy"] - b["accuracy"] for a, b in pairs], "1", method="test items",
    )  # fmt: skip


def _told(claim: str, some: Sequence[Mapping[str, Any]], whole: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    ratios = [one["bytes"] / each["bytes"] for each, one in zip(some, whole, strict=True)]
    lost = [one["accuracy"] - each["accuracy"] for each, one in zip(some, whole, strict=True)]
    yield stated(f"{claim}: times smaller than float32", ratios, "1")
    yield stated(f"{claim}: accuracy lost", lost, "1", method="test items")
