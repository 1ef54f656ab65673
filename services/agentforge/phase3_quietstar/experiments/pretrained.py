"""A small Titan, pre-trained on chained sums modulo 10, half of them worked out: what `sums` begins with."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import torch

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.loader import Loader
from agentforge.data.rows import ItemRows
from agentforge.data.splits import Split
from agentforge.data.tokenizer import SMALLEST_VOCABULARY, train_tokenizer
from agentforge.kit.audience import Quiet
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.train.config import TrainConfig
from agentforge.train.evaluate import answer_accuracy
from agentforge.train.loop import Training

TERMS = (3, 4)
_STEPS, _BATCH, _LENGTH = 400, 128, 64
_VOCABULARY = SMALLEST_VOCABULARY + 8  # " +", " =" and the like are one token
_SHAPE = {
    "num_hidden_layers": 2, "sliding_window": 128, "memory": False, "recursion": False, "persistent_tokens": 0,
    "rope_theta": 50.0, "act_steps_train": 3, "act_steps_infer": 3, "deep_supervision": 0.2, "ponder_weight": 0.0,
}  # fmt: skip
_EMBEDDING_STD = 0.1  # as in the tiny preset


def pretrained(seed: int, directory: Path) -> dict[str, float]:
    """Writes the model; its held-out accuracy at sums without and with worked steps."""
    # Two terms are the single step of a longer sum; as often as those.
    kinds = [(family, terms) for family in ("chain", "chain_steps") for terms in ((2,), (2, *TERMS))]
    streams = [ItemStream(family, Split.TRAIN, seed, terms) for family, terms in kinds]
    codec = Codec(train_tokenizer((i.text for each in streams for i in islice(each, 300)), _VOCABULARY))
    rows = [ItemRows(stream, codec, _LENGTH) for stream in streams]
    loader = Loader([(each, 1.0) for each in rows], batch=_BATCH, pad=codec.pad, seed=seed)
    config = TrainConfig(steps=_STEPS, batch=_BATCH, embedding_lr=1e-3, threads=1, checkpoint_every=0)
    model = _model(codec, seed)
    Training(model, loader, config, name="pretrained").run(Quiet())
    model.save_pretrained(directory)
    codec.tokenizer.save_pretrained(directory)
    found = {}
    for family in ("chain", "chain_steps"):
        items = ItemStream(family, Split.TEST, seed, TERMS).distinct(200)
        found[family] = answer_accuracy(model, codec, items, prefix="")[0].value
    return found


def _model(codec: Codec, seed: int) -> TitanForCausalLM:
    torch.manual_seed(Rng(seed, "quietstar/pretrained").seed)
    tokens = {"vocab_size": codec.vocabulary, "eos_token_id": codec.eos, "pad_token_id": codec.pad}
    model = TitanForCausalLM(TitanConfig.preset("tiny", **tokens, **_SHAPE))
    torch.nn.init.normal_(model.embed_tokens.weight, std=_EMBEDDING_STD)
    return model
