"""The smallest models that a phase can take: made in a moment, of one tokenizer, whose tokens are bytes.

Nothing heavy is imported before something is made, so that collecting tests stays quick.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from agentforge.models import TitanForCausalLM

WINDOW = 48  # tokens, which are bytes here: enough for the shortest items
_SHAPE = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
_PLAIN = {
    "memory": False, "recursion": False, "persistent_tokens": 0, "act_steps_train": 2, "act_steps_infer": 2,
    "rope_theta": 50.0, "embedding_std": 0.1, "sliding_window": WINDOW,
}  # fmt: skip


@functools.cache
def tokenizer() -> PreTrainedTokenizerFast:
    from agentforge.data.tokenizer import SMALLEST_VOCABULARY, train_tokenizer

    return train_tokenizer(["Q: 1 + 2 = A: 3"], SMALLEST_VOCABULARY)


def titan(seed: int = 0, **fields: Any) -> TitanForCausalLM:
    """21,000 parameters for each layer or so; `layers`, and any field of its config."""
    import torch

    from agentforge.models import TitanConfig, TitanForCausalLM

    small = {"num_hidden_layers": 1, **_SHAPE, **_PLAIN, "vocab_size": len(tokenizer())} | fields
    std = small.pop("embedding_std")
    torch.manual_seed(seed)
    model = TitanForCausalLM(TitanConfig.preset("tiny", **small))
    with torch.no_grad():  # as phase 1 does it: at 0.02 tied embeddings collapse
        embeddings = model.get_input_embeddings().weight
        embeddings.mul_(std / embeddings.std())
    return model


def llama(seed: int = 0, **fields: Any) -> LlamaForCausalLM:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    small = {"num_hidden_layers": 2, "vocab_size": len(tokenizer()), "max_position_embeddings": 64, **_SHAPE}
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**{**small, "tie_word_embeddings": True, **fields}))


def save(model: Any, place: Path, with_tokenizer: PreTrainedTokenizerFast | None = None) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(place)
    (with_tokenizer or tokenizer()).save_pretrained(place)
    return place


def with_noise(model: Any, seed: int, share: float = 0.2) -> Any:
    """Every weight moved, by `share` of its tensor's own deviation or of 0.02 where it has none."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, tensor in sorted(model.named_parameters()):
            size = float(tensor.std(unbiased=False)) or 0.02
            tensor += torch.randn(tensor.shape, generator=generator) * share * size
    return model


def trained(model: Any, families: Sequence[tuple[str, int]], steps: int, seed: int, batch: int = 32) -> Any:
    """A few steps on items of the train split: enough for answers that are right now and then."""
    import torch

    from agentforge.data.codec import Codec
    from agentforge.data.generate import ItemStream
    from agentforge.data.rows import IGNORED
    from agentforge.data.splits import Split
    from agentforge.train.evaluate import padded

    codec = Codec(tokenizer())
    streams = [ItemStream(name, Split.TRAIN, seed, [difficulty]) for name, difficulty in families]
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for step in range(steps):
        items = [streams[place % len(streams)].item(step, place) for place in range(batch)]
        rows = [codec.item_ids(item) for item in items]
        ids_BT, mask_BT = padded([ids for ids, _ in rows], codec.pad, torch.device("cpu"))
        learned_BT, _ = padded([[int(each) for each in learned] for _, learned in rows], 0, torch.device("cpu"))
        labels_BT = ids_BT.masked_fill(learned_BT * mask_BT == 0, IGNORED)
        optimiser.zero_grad()
        model(input_ids=ids_BT, attention_mask=mask_BT, labels=labels_BT).loss.backward()
        optimiser.step()
    return model.eval()


def branch(place: Path) -> None:
    """A model of one trunk, its own by the name of its place."""
    save(with_noise(titan(), zlib.crc32(place.name.encode())), place)
