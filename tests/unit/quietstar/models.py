"""Pico models for thoughts, and the naive way: one place, one thought, one token at a time, as ordinary text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.models.memory_titan import LongTermMemory, MemoryState, MemoryStrength, MemoryView
from agentforge.models.thoughts.sampling import Draws, Sampling, draw
from agentforge.models.thoughts.tokens import Marks
from tests import pico

VOCAB = 40
MARKS = Marks(12, 13)
SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "sliding_window": 8, "memory_chunk": 4, "memory_slots": 64, "memory_init_slots": 3,
    "memory_layers": [0, 1], "persistent_tokens": 2, "act_rank": 3, "act_steps_train": 3, "act_steps_infer": 2,
}  # fmt: skip
TITANS: dict[str, dict[str, Any]] = {
    "all mechanisms": {},
    "wide window": {"sliding_window": 64},
    "no window": {"sliding_window": None, "memory": False},
    "no memory": {"memory": False},
    "no halting": {"act": False},
    "no persistent tokens": {"persistent_tokens": 0},
    "no recursion": {"recursion": False},
    "deep recursion": {"recursion_cycles": 2, "recursion_inner": 2},
    "slots run out": {"memory_slots": 8},
    "plain": {"memory": False, "act": False, "recursion": False, "persistent_tokens": 0},
}


def titan(**fields: Any) -> TitanForCausalLM:
    """Logits far apart and fading that matters within 20 tokens, so that a small mistake is seen; float64."""
    torch.manual_seed(0)
    model = TitanForCausalLM(TitanConfig(**{**SHAPE, **fields}))
    with torch.no_grad():
        model.embed_tokens.weight.mul_(40)
        if model.strength is not None and model.strength.decay is not None:
            torch.nn.init.normal_(model.strength.learned[2].weight)
            torch.nn.init.constant_(model.strength.decay, 3.0)
    return model.double().eval()


def llama(**fields: Any) -> Any:
    model = pico.llama(vocab_size=VOCAB, hidden_size=16, intermediate_size=24, **fields)
    for module in model.modules():  # theirs rounds to float32 within, which differences would see
        if isinstance(module, LlamaRMSNorm):
            module.forward = partial(F.rms_norm, normalized_shape=(16,), weight=module.weight, eps=1e-6)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(10)
    return model.double().eval()


def text(rows: int = 2, length: int = 14) -> Tensor:
    return torch.randint(14, VOCAB, (rows, length), generator=torch.Generator().manual_seed(7))


def padded(length: int = 14) -> tuple[Tensor, Tensor]:
    """Three rows: whole, padded on the left, padded on the right."""
    ids_BT, mask_BT = text(3, length), torch.ones(3, length, dtype=torch.long)
    mask_BT[1, :4] = 0
    mask_BT[2, -5:] = 0
    return ids_BT * mask_BT, mask_BT


def naive(
    model: Any, prefix: list[int], position: int, thought: int, sampling: Sampling, draws: Draws, row: int = 0
) -> tuple[list[int], Tensor]:
    """The thought's tokens with both marks, and the logits [V] after each, by forwards over ordinary rows alone."""
    own = Draws(draws.seed, draws.counters, [row])
    uniform_LU = own.uniform(torch.tensor([[position]]), sampling)[0, 0, thought]
    plain, ids, logits = Row(model, prefix), [MARKS.start], []
    while True:
        logits.append(plain.feed(ids[-1]))
        if ids[-1] == MARKS.end:
            return ids, torch.stack(logits)
        if len(ids) > sampling.length:
            ids.append(MARKS.end)
            continue
        ids.append(int(draw(logits[-1][None], uniform_LU[len(ids) - 1][None], MARKS.start, sampling)))


class Row:
    """A prefix and what is fed after it as one ordinary row; a Titan's memory takes no writing after the prefix."""

    def __init__(self, model: Any, prefix: list[int]) -> None:
        self.model, self.prefix, self.fed = model, prefix, list[int]()
        self.cache = None
        if getattr(model.config, "memory", False):
            self.cache = model(input_ids=torch.tensor([prefix]), use_cache=True).past_key_values

    def feed(self, token: int) -> Tensor:
        """The logits [V] after it."""
        self.fed.append(token)
        if self.cache is None:  # no cache at all: the row from its beginning
            return cast("Tensor", self.model(input_ids=torch.tensor([self.prefix + self.fed])).logits[0, -1])
        with frozen(self.model, self.prefix):
            out = self.model(input_ids=torch.tensor([[token]]), past_key_values=self.cache)
        return cast("Tensor", out.logits[0, -1])


@contextmanager
def frozen(model: TitanForCausalLM, prefix: list[int]) -> Iterator[None]:
    """Tokens read what the prefix's last token could read, faded by how far they are from it, and write nothing."""
    place = len(prefix) - 1
    limit = place // model.config.memory_chunk * model.config.memory_chunk

    def write(
        memory: LongTermMemory, h_BTD: Tensor, position_BT: Tensor, strength: MemoryStrength, state: MemoryState
    ) -> tuple[list[MemoryView], MemoryState]:
        assert h_BTD.shape[1] == 1
        readable = [i for i in range(state.key.shape[1]) if 0 <= int(state.position[0, i]) < limit]
        decay = strength.log_decay()
        order = memory._order(state, decay)[0]
        readable = sorted(readable, key=lambda i: -float(order[i]))[: memory.slots]
        key_HSK = memory._heads(memory.initial[0], state.key[:, readable])
        value_HSK = memory._heads(memory.initial[1], state.value[:, readable])
        age_S = position_BT[0, 0] - state.position[0, readable]
        written_S = state.score[0, readable] + age_S * decay
        bias_S = torch.cat((written_S.new_zeros(memory.initial.shape[1]), written_S))
        return [MemoryView(key_HSK, value_HSK, bias_S[None, None, None])], state

    with mock.patch.object(LongTermMemory, "write", write):
        yield


def tolerance(model: Any) -> float:
    return 1e-10 if next(model.parameters()).dtype == torch.float64 else 1e-5
