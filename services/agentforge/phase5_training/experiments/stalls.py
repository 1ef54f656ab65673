"""Measures for `loading`: the loop on real steps of ternary models, timed wherever it waits for a batch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.loader import Batch, Loader, Prefetch
from agentforge.data.rows import ItemRows, RowSource
from agentforge.data.sources.documents import TaskTexts, texts
from agentforge.data.sources.stdlib import Part, StandardLibrary
from agentforge.data.splits import Split
from agentforge.data.tokenizer import train_tokenizer
from agentforge.kit.audience import Quiet
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import frozen
from agentforge.phase5_training.configs.data import TEXT, TOKENS, DataConfig
from agentforge.phase5_training.experiments.loading import KINDS, PLAIN
from agentforge.phase5_training.sources import Given, Places
from agentforge.train.config import TrainConfig
from agentforge.train.loop import Batches, Training, model_loss

_FAMILIES = {"arithmetic": [2], "recall": [2, 3, 4], "nested": [1, 2, 3]}
_VOCABULARY = 512
_TOKENS = 2_000_000  # in the token file
_WARM = 2  # steps before those that count
_ONCE = {"act_steps_train": 1, "act_steps_infer": 1}
_PLAIN_TINY = {
    "num_hidden_layers": 2, "memory": False, "recursion": False, "persistent_tokens": 0, "sliding_window": 64,
}  # fmt: skip
# (rows, tokens of a row, steps, fields of the model): the tiny preset's; and what a CPU can do of the full one.
_SHAPES: dict[str, tuple[int, int, int, dict[str, Any]]] = {
    "tiny": (64, 32, 20, _PLAIN_TINY),
    "full": (4, 128, 4, {"vocab_size": 32_000, "memory": False, "recursion": False, **_ONCE}),
}


class Timed:
    """Batches, and when each was asked for and came: by the clock, and by what the process has computed (s)."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches
        self.asked: list[tuple[float, float]] = []
        self.came: list[tuple[float, float]] = []

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        asked = time.perf_counter(), time.process_time()
        batch: Batch = next(self.batches)
        self.asked.append(asked)
        self.came.append((time.perf_counter(), time.process_time()))
        return batch

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise NotImplementedError


def measure(shape: str, way: str, seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-loading-") as folder:
        sources = _sources(Path(folder), seed, _SHAPES[shape][1])
        return {kind: _trained(kind, sources, shape, way, seed) for kind in KINDS}


def codec_of(corpus: StandardLibrary, seed: int) -> Codec:
    tasks = TaskTexts([ItemStream(name, Split.TRAIN, seed, _FAMILIES[name]) for name in _FAMILIES], 300)
    return Codec(train_tokenizer(texts(corpus, tasks), _VOCABULARY))


def _frozen_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """As the phase does it: codes are made once for all passes through the layers."""
    with frozen(model):
        return model_loss(model, batch)


def _sources(folder: Path, seed: int, length: int) -> dict[str, tuple[list[RowSource], Codec]]:
    corpus = StandardLibrary(Part.DOCSTRINGS, every=4)
    codec = codec_of(corpus, seed)
    lines = (json.dumps({"text": document.text}) for document, _ in corpus.read())
    (folder / "text.jsonl").write_text("\n".join(lines))
    ids = Rng(seed, "loading/tokens").numpy().integers(0, codec.vocabulary, _TOKENS)
    ids.astype("<u2").tofile(folder / "tokens.bin")
    data = DataConfig(families=_FAMILIES, length=length, held_out=4)
    given = Given(Places(folder, [folder / "text.jsonl"], folder / "tokens.bin"), data, codec, seed)
    items: list[RowSource] = [
        ItemRows(ItemStream(name, Split.TRAIN, seed, data.difficulty(name)), codec, length) for name in _FAMILIES
    ]
    found = {"items": items, "tokens": [given.rows(TOKENS)], "text": [given.rows(TEXT)]}
    found["mix"] = [*items, given.rows(TOKENS), given.rows(TEXT)]
    return {kind: (rows, codec) for kind, rows in found.items()}


def _trained(
    kind: str, sources: dict[str, tuple[list[RowSource], Codec]], shape: str, way: str, seed: int
) -> dict[str, Any]:
    """Seconds of all steps but the first ones, and of those in which the loop waits."""
    rows, length, steps, fields = _SHAPES[shape]
    mixed, codec = sources[kind]
    torch.manual_seed(seed)
    model = TitanForCausalLM(TitanConfig.preset(shape, **{"vocab_size": _VOCABULARY, **fields}))
    convert(model)
    loader: Any = Loader([(each, 1.0) for each in mixed], batch=rows, pad=codec.pad, seed=seed)
    batches: Any = loader if way == PLAIN else Prefetch(loader)
    timed = Timed(batches)
    config = TrainConfig(
        steps=_WARM + steps,
        batch=rows,
        warmup=0,
        schedule="constant",
        checkpoint_every=0,
        evaluate_every=0,
        threads=1,
    )
    given: Batches = timed
    Training(model, given, config, loss_of=_frozen_loss).run(Quiet())
    end = time.perf_counter(), time.process_time()
    if way != PLAIN:
        batches.close()
    found: dict[str, Any] = {"steps": steps, "rows": rows, "length": length}
    for place, kind in enumerate(("s", "cpu_s")):
        asked, came = ([each[place] for each in every[_WARM:]] for every in (timed.asked, timed.came))
        found[f"waited_{kind}"] = sum(came) - sum(asked)
        found[f"whole_{kind}"] = end[place] - asked[0]
    return found
