"""How many steps the tiny model needs to learn two-digit sums: the other training of `grokfast`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import islice

import torch

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.loader import Loader
from agentforge.data.rows import ItemRows
from agentforge.data.splits import Split
from agentforge.data.tokenizer import SMALLEST_VOCABULARY, train_tokenizer
from agentforge.kit.audience import Quiet
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.train.config import GrokfastConfig, TrainConfig
from agentforge.train.evaluate import answer_accuracy
from agentforge.train.loop import Training

LOOK_EVERY = 20  # steps between evaluations
_ITEMS, _LENGTH = 250, 24
_PLAIN = {"memory": False, "act": False, "recursion": False, "persistent_tokens": 0, "rope_theta": 50.0}
_EMBEDDING_STD = 0.1  # as in the tiny preset


class _EnoughError(Exception):
    pass


class _Watch(Quiet):
    """Ends the training when enough is right."""

    def __init__(self, enough: float) -> None:
        super().__init__()
        self.enough = enough

    @property
    def curve(self) -> list[dict[str, float]]:
        wrong = [each for each in self.measured if each.name == "wrong"]
        return [{"step": each.step or 0, "held_out": round(1 - each.value, 5)} for each in wrong]

    def check_stop(self, save: Callable[[], None] | None = None) -> None:
        if any(each["held_out"] >= self.enough for each in self.curve[-1:]):
            raise _EnoughError


def learned(seed: int, filtered: str, steps: int, enough: float) -> list[dict[str, float]]:
    """Held-out accuracy every LOOK_EVERY steps, until there is enough of it or the steps are used up."""
    stream = ItemStream("arithmetic", Split.TRAIN, Rng(seed, "grokfast/sums").seed, (2,))
    codec = Codec(train_tokenizer((item.text for item in islice(stream, 1_000)), SMALLEST_VOCABULARY))
    loader = Loader([(ItemRows(stream, codec, _LENGTH), 1.0)], batch=128, pad=codec.pad, seed=seed)
    items = ItemStream("arithmetic", Split.TEST, Rng(seed, "grokfast/sums").seed, (2,)).distinct(_ITEMS)
    model = _model(codec, seed)
    config = TrainConfig(
        steps=steps, batch=128, embedding_lr=1e-3, schedule="constant", threads=1, checkpoint_every=0,
        evaluate_every=LOOK_EVERY, grokfast=GrokfastConfig.model_validate({"filter": filtered}),
    )  # fmt: skip

    def wrong() -> Measurement:
        right = answer_accuracy(model, codec, items, prefix="sums")[0]
        return Measurement("wrong", 1 - right.value, "1", right.method, right.n, step=training.step)

    training = Training(model, loader, config, name="sums", evaluate=wrong)
    watch = _Watch(enough)
    with contextlib.suppress(_EnoughError):
        training.run(watch)
    return watch.curve


def _model(codec: Codec, seed: int) -> TitanForCausalLM:
    """The tiny preset's, all mechanisms off."""
    torch.manual_seed(Rng(seed, "grokfast/sums/weights").seed)
    tokens = {"vocab_size": codec.vocabulary, "eos_token_id": codec.eos, "pad_token_id": codec.pad}
    model = TitanForCausalLM(TitanConfig.preset("tiny", **tokens, **_PLAIN))
    torch.nn.init.normal_(model.embed_tokens.weight, std=_EMBEDDING_STD)
    return model
