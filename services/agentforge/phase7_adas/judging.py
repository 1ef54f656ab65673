"""The input, the model that is packed, and its files: on the test split, which decided nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentforge.data.items import Item
from agentforge.data.scoring import score_items
from agentforge.data.splits import Split
from agentforge.edge.asking import answer_nats, answers, engine_of
from agentforge.kit.audience import Audience
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase7_adas.graphs import QDQ, TENSORRT, Files
from agentforge.phase7_adas.search.judging import against_input
from agentforge.phase7_adas.search.search import Found
from agentforge.phase7_adas.start import Start
from agentforge.train.evaluate import answers as torch_answers
from agentforge.train.evaluate import item_loss, mean_loss, perplexity
from agentforge.train.judging import accuracies

INPUT, MODEL = "input", "model"
SAME = "same_answers"


@dataclass(frozen=True)
class Judged:
    measured: list[Measurement]
    items: list[Item]

    @property
    def values(self) -> dict[str, float]:
        """By name, without the phase's."""
        return {one.name.removeprefix("adas/"): one.value for one in self.measured}


_NAMES = {TENSORRT: "tensorrt_fp32", QDQ: "tensorrt_int8"}


def who(file: str) -> str:
    """By what a file goes in the names of measurements."""
    return _NAMES.get(file, file.removesuffix(".onnx"))


def judge(context: Audience, start: Start, searched: Found | None, files: Files) -> Judged:
    items = start.items(Split.TEST, start.config.evaluation.test_items)
    found, said = _torch(start, INPUT, start.model, items)
    if searched is None:
        found += [replace(one, name=one.name.replace(f"adas/{INPUT}/", f"adas/{MODEL}/")) for one in found]
    else:
        before = score_items(items, said)
        more, said = _torch(start, MODEL, searched.model, items)
        found += [*more, *against_input(searched, before, score_items(items, said))]
    for number, name in enumerate(files.variants):
        context.check_stop()
        context.progress(number, len(files.variants), "files", "test")
        found += _file(start, files, name, items, said)
    return Judged(found, items)


def _torch(start: Start, name: str, model: Any, items: Sequence[Item]) -> tuple[list[Measurement], list[str]]:
    batch = start.config.evaluation.batch
    with frozen(model):
        loss = item_loss(model, start.codec, items, name=f"adas/{name}/loss", batch=batch)
        said = torch_answers(model, start.codec, items, batch=batch)
    numbers = [loss, *perplexity(loss, f"adas/{name}/perplexity"), *accuracies(items, said, f"adas/{name}")]
    return numbers, said


def _file(start: Start, files: Files, name: str, items: Sequence[Item], torch_said: list[str]) -> list[Measurement]:
    """By onnxruntime, the files for TensorRT too: on their own device verify.py measures them."""
    batch = start.config.evaluation.batch
    engine = engine_of(files.path(name), start.config.machine.threads or 0)
    nats, count = answer_nats(engine, start.codec, items, batch=batch)
    said = answers(engine, start.codec, items, batch=batch)
    same = sum(one == other for one, other in zip(said, torch_said, strict=True)) / len(items)
    prefix = f"adas/{who(name)}"
    method = "share of greedy answers that are PyTorch's to the letter, by onnxruntime"
    return [
        mean_loss(nats, count, len(items), name=f"{prefix}/loss"),
        *accuracies(items, said, prefix),
        Measurement(f"{prefix}/{SAME}", same, "1", method, len(items)),
    ]
