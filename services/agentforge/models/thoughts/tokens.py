"""The marks of a thought in tokenizer and model: found where they are, added where they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import AddedToken
from torch import Tensor

from agentforge.data.tokenizer import THOUGHT_CLOSE, THOUGHT_OPEN, check_fits
from agentforge.kit.errors import FailedPrecondition
from agentforge.models.thoughts.room import LARGEST_VOCABULARY, check_meaning, check_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DASHES = ("—", " —", "---", " ---")  # the paper: a pause in writing is the nearest thing to a thought


@dataclass(frozen=True)
class Marks:
    start: int
    end: int


def add_marks(tokenizer: PreTrainedTokenizerFast, model: Any, limit: int = LARGEST_VOCABULARY) -> Marks:
    """The marks' ids. New ones take free rows of the embedding or make it grow, and begin as `begin` says.

    Marks that the tokenizer has (ours does) are left as they are in the model: only the caller knows whether it
    was ever trained with them. `limit`: the most tokens; a vocabulary that is above it already has no limit.
    """
    check_fits(tokenizer, model.get_input_embeddings().num_embeddings)
    new = [mark for mark in (THOUGHT_OPEN, THOUGHT_CLOSE) if not _there(tokenizer, mark)]
    if not new:
        return find_marks(tokenizer)
    check_vocabulary(len(tokenizer), new, limit)
    added: Any = [AddedToken(mark, special=True, normalized=False) for mark in new]
    tokenizer.add_tokens(added, special_tokens=True)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    marks = find_marks(tokenizer)
    begin(tokenizer, model, [tokenizer.get_vocab()[mark] for mark in new])
    return marks


def find_marks(tokenizer: PreTrainedTokenizerFast) -> Marks:
    for mark in (THOUGHT_OPEN, THOUGHT_CLOSE):
        if not _there(tokenizer, mark):
            message = f"the tokenizer has no {mark}: this model was not made to think"
            step = "Take it through phase quietstar first."
            raise FailedPrecondition(message, reason="NO_THOUGHT_TOKENS", field="tokenizer", next_step=step)
    known = tokenizer.get_vocab()
    return Marks(known[THOUGHT_OPEN], known[THOUGHT_CLOSE])


def _there(tokenizer: PreTrainedTokenizerFast, mark: str) -> bool:
    """Whether it is a special token; refused where the same text means something else."""
    number = tokenizer.get_vocab().get(mark)
    if number is None:
        return False
    added = tokenizer.added_tokens_decoder.get(number)
    names = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id)
    check_meaning(mark, number, special=added is not None and added.special, named=number in names)
    return True


@torch.no_grad()
def begin(tokenizer: PreTrainedTokenizerFast, model: Any, ids: list[int]) -> None:
    """Give the marks the embedding of the dash, as the paper does; where no token is a dash, the mean of all."""
    dash = _dash(tokenizer)
    tables: list[Tensor] = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings()
    if head is not None and head.weight is not tables[0]:
        tables.append(head.weight)
    others = [number for number in range(len(tokenizer)) if number not in ids]
    for table_VD in tables:
        table_VD[ids] = table_VD[others].mean(0) if dash is None else table_VD[dash].clone()


def _dash(tokenizer: PreTrainedTokenizerFast) -> int | None:
    for text in DASHES:
        ids = tokenizer.encode(text, add_special_tokens=False)
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
            return int(ids[0])
    return None
