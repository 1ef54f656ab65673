"""A model whose embedding and head have rows for the kept tokens alone. All else is as it was, to the bit."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.linear import BitLinear


@torch.no_grad()
def trimmed(model: Any, kept: Sequence[int]) -> Any:
    """A model of its own. `kept`: the old id of each new one, as `choose` and `rebuilt` give them.

    A text of kept tokens gives the same hidden states to the bit, and of kept tokens the same logits: to the bit
    too where the machine's product of matrices does not sum otherwise for another number of columns (some do, for
    sizes that no vector divides or when threads share the columns: then by rounding errors).
    """
    _check(model, kept)
    small = copy.deepcopy(model)
    embeddings, head = small.get_input_embeddings(), small.get_output_embeddings()
    rows = torch.tensor(kept, device=embeddings.weight.device)
    tied = head.weight is embeddings.weight
    embeddings.weight = _rows(embeddings.weight, rows)
    embeddings.num_embeddings, head.out_features = len(kept), len(kept)
    head.weight = embeddings.weight if tied else _rows(head.weight, rows)
    if head.bias is not None:
        head.bias = _rows(head.bias, rows)
    new = {old: number for number, old in enumerate(kept)}
    embeddings.padding_idx = new.get(embeddings.padding_idx)
    for part in small.modules():
        if isinstance(getattr(part, "vocab_size", None), int):
            part.vocab_size = len(kept)
    small.config.vocab_size = len(kept)
    for settings in _settings(small):
        _renumber(settings, new)
    return small.eval()


def _rows(parameter: nn.Parameter, rows: Tensor) -> nn.Parameter:
    return nn.Parameter(parameter[rows].clone(), requires_grad=parameter.requires_grad)


def _settings(model: Any) -> Iterator[Any]:
    yield model.config
    if model.generation_config is not None:
        yield model.generation_config


def _renumber(settings: Any, new: dict[int, int]) -> None:
    """bos_token_id, eos_token_id and the like; some are lists."""
    for name, old in sorted(settings.to_dict().items()):
        if not name.endswith("_token_id") or old is None:
            continue
        olds = old if isinstance(old, list) else [old]
        gone = next((each for each in olds if each not in new), None)
        if gone is not None:
            message = f"{name} is {gone}, which is not among the {len(new):,} kept tokens"
            step = "Keep all special tokens."
            raise InvalidInput(message, reason="SPECIAL_TOKEN_DROPPED", field=name, next_step=step)
        setattr(settings, name, [new[each] for each in olds] if isinstance(old, list) else new[old])


def _check(model: Any, kept: Sequence[int]) -> None:
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    plain = type(embeddings) is nn.Embedding and isinstance(head, nn.Linear) and not isinstance(head, BitLinear)
    if not plain:
        odd = embeddings if type(embeddings) is not nn.Embedding else head
        message = f"the vocabulary is held by a {type(odd).__name__}, from which no rows can be taken"
        step = "Give the model as it was before it was quantised or adapted."
        raise InvalidInput(message, reason="NOT_TRIMMABLE", field="vocabulary", next_step=step)
    rows = embeddings.num_embeddings
    odd_one = next((each for each in kept if not 0 <= each < rows), None)
    if odd_one is not None or len(set(kept)) < len(kept) or not kept:
        what = "a token twice or none at all" if odd_one is None else f"token {odd_one}, and there are {rows:,}"
        raise InvalidInput(f"the kept tokens hold {what}", reason="BAD_TOKENS", field="vocabulary")
