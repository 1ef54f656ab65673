"""What the phase gives with the tiny preset, of the pipeline's own models; and a student of the seeds' size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, stated
from agentforge.kit.whole_run import pipeline_models, run_phase

SEEDS = (42, 1337, 2023)
TEST_ITEMS = 250  # of each family, or all that there are
KEPT, SECONDS, SAME = 0.95, 60.0, 0.99  # the bars
STUDENT_RATIO = 57.6  # the seeds'
LATENCY, MEMORY = 1.5, 1.05
TERNARY, PLAIN = "ternary, 272 k", "plain float32, 272 k"
_STUDENT = [
    "strategy=distillation",
    'distillation.students={"small": {"hidden": 48, "layers": 2, "heads": 2, "intermediate": 72}}',
    'space={"vocabulary": [320], "embeddings": ["grid4"], "rest": ["float16"]}',
    'distillation.train={"steps": 300, "batch": 32, "warmup": 20, "threads": 1, "lr": 0.003, "muon_lr": 0.02}',
    "search.trials=2", "search.batch=2", "target.min_retention=null", "target.max_bytes=18922", "final=null",
    'formats.make=["huggingface"]',
]  # fmt: skip


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-road-") as scratch:
        home = Path(scratch)
        models = pipeline_models(home, seed)
        began = time.monotonic()
        found = {"ternary": _run(home, models["ternary"], seed)}
        seconds = time.monotonic() - began
        found["plain"] = _run(home, models["plain"], seed)
        found["student"] = _run(home, models["ternary"], seed, *_STUDENT)
        return {"seconds": seconds, **found}


def _run(home: Path, model: Path, seed: int, *more: str) -> dict[str, float]:
    asked = [f"seed={seed}", f"evaluation.test_items={TEST_ITEMS}", "formats.same=0", *more]
    line = run_phase("compression", home, asked, inputs=[model])
    return {one["name"].removeprefix("compression/"): one["value"] for one in line["measurements"]}


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    text = f"{TERNARY}: the whole phase takes a minute at most"
    method = "tiny preset, 750 test items for the preset's 180"
    return [
        *_kept(TERNARY, [one["ternary"] for one in every]),
        at_most(text, SECONDS, [one["seconds"] for one in every], "s", method=method),
        *_costs(TERNARY, [one["ternary"] for one in every]),
        *_files(TERNARY, [one["ternary"] for one in every]),
        *_kept(PLAIN, [one["plain"] for one in every]),
        *_student([one["student"] for one in every]),
    ]


def _kept(text: str, every: Sequence[Mapping[str, float]]) -> Iterator[Row]:
    method = "share of the input's right answers, test items"
    claim = f"{text}: accuracy kept by the final file, mean over families"
    yield at_least(claim, KEPT, _values(every, "accuracy_retention"), "1", method=method)
    for family in sorted(name for name in every[0] if name.startswith("accuracy_retention/")):
        yield stated(
            f"{claim.split(',')[0]}: {family.partition('/')[2]} kept", _values(every, family), "1", method=method
        )
    yield stated(
        f"{text}: times smaller than float32", _values(every, "compression_ratio"), "1", method="model.forge"
    )
    yield stated(f"{text}: accuracy, input", _values(every, "input/accuracy"), "1")
    yield stated(f"{text}: accuracy, final", _values(every, "final/accuracy"), "1")


def _costs(text: str, every: Sequence[Mapping[str, float]]) -> Iterator[Row]:
    told = "to the same model uncompressed, by the same kernels"
    yield at_most(
        f"{text}: decode step of the final file", LATENCY, _values(every, "latency_ratio"), "1", method=told
    )
    yield at_most(
        f"{text}: memory of the final file, loaded", MEMORY, _values(every, "memory_ratio"), "1", method=told
    )
    yield stated(f"{text}: seconds to load the final file", _values(every, "load_s"), "s")


def _files(text: str, every: Sequence[Mapping[str, float]]) -> Iterator[Row]:
    """`huggingface`, `onnx` in float32 and the like lose nothing, and are held to the bar."""
    lossless = ("huggingface", "pytorch", "runner", "tensorrt", "cpu_fp32", "compressed")
    for name in sorted(name for name in every[0] if name.endswith("/same_answers")):
        file = name.removeprefix("formats/").removesuffix("/same_answers")
        claim, values = f"{text}: answers of {file} that are PyTorch's", _values(every, name)
        method = "the first test items, in the format's own runtime"
        held = any(part in file for part in lossless)
        yield (
            at_least(claim, SAME, values, "1", method=method) if held else stated(claim, values, "1", method=method)
        )


def _student(every: Sequence[Mapping[str, float]]) -> Iterator[Row]:
    text = "a ternary student of 48 units and 320 tokens"
    ratios = _values(every, "compression_ratio")
    yield at_least(f"{text}: times smaller than its teacher in float32", STUDENT_RATIO, ratios, "1", theirs=True)
    yield stated(
        f"{text}: accuracy kept", _values(every, "accuracy_retention"), "1", method="300 steps of distillation"
    )


def _values(every: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [float(one[name]) for one in every]
