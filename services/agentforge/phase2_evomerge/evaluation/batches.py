"""Questions as tensors, made once: batches of similar length, and where in them the answers are.

Shapes: B rows, T tokens, M answer tokens of a batch, A answer tokens of all questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.splits import Split
from agentforge.train.evaluate import alike, padded

_MOST_LOGITS = 2**25  # 128 MiB in float32: a large vocabulary takes smaller batches


@dataclass(frozen=True, slots=True)
class Question:
    ids: list[int]
    learned: list[bool]  # where the model itself is to speak; never the first token


@dataclass(frozen=True, slots=True)
class Batch:
    ids_BT: Tensor
    mask_BT: Tensor
    keep: int  # the last positions, whose logits are enough
    row_M: Tensor  # of each answer token: its row,
    column_M: Tensor  # the kept position that predicts it,
    target_M: Tensor  # itself,
    place_M: Tensor  # and its place among all answers

    def to(self, device: torch.device) -> Batch:
        tensors = {name: getattr(self, name).to(device) for name in self.__slots__ if name != "keep"}
        return replace(self, **tensors)


@dataclass(frozen=True)
class Encoded:
    """Answers stand family by family, question by question, whatever batch each is in."""

    split: Split
    batches: tuple[Batch, ...]
    target_A: NDArray[np.int64]
    spans: dict[str, slice]  # of each family's answers
    starts: dict[str, NDArray[np.int64]]  # of each question's answer within its family's span
    scored: tuple[str, ...]  # families that have right and wrong answers
    tokens: int  # all that is read, padding left out
    prompts: Mapping[str, str] = field(default_factory=dict)  # of each scored family one, to show

    def to(self, device: torch.device) -> Encoded:
        return replace(self, batches=tuple(batch.to(device) for batch in self.batches))

    def count(self, family: str) -> int:
        """Its questions: items, or rows of text."""
        return len(self.starts[family])

    @property
    def item_answers(self) -> int:
        """Answer tokens of all items; they come before those of texts."""
        return sum(self.answer_tokens(family) for family in self.scored)

    def answer_tokens(self, family: str) -> int:
        span = self.spans[family]
        return len(self.target_A[span])


def encoded(
    families: Mapping[str, Sequence[Question]], codec: Codec, *, split: Split, scored: tuple[str, ...], batch: int
) -> Encoded:
    # Scored families first, so that predictions of items are one piece.
    order = [*scored, *sorted(families.keys() - set(scored))]
    questions = [question for name in order for question in families[name]]
    targets = [id_ for each in questions for id_, learned in zip(each.ids, each.learned, strict=True) if learned]
    answers = np.array([sum(question.learned) for question in questions])
    begin = np.concatenate([[0], np.cumsum(answers)])
    spans, starts, first = {}, {}, 0
    for name in order:
        last = first + len(families[name])
        spans[name] = slice(int(begin[first]), int(begin[last]))
        starts[name] = begin[first:last] - begin[first]
        first = last
    widest = max(len(question.ids) for question in questions)
    rows = max(1, min(batch, _MOST_LOGITS // (widest * codec.vocabulary)))
    batches = tuple(
        _batch([questions[place] for place in places], [int(begin[place]) for place in places], codec.pad)
        for places in alike([len(question.ids) for question in questions], rows)
    )
    tokens = sum(len(question.ids) for question in questions)
    return Encoded(split, batches, np.array(targets, np.int64), spans, starts, scored, tokens)


def _batch(questions: Sequence[Question], begins: Sequence[int], pad: int) -> Batch:
    ids_BT, mask_BT = padded([question.ids for question in questions], pad, torch.device("cpu"))
    where = [
        (row, column - 1, question.ids[column], begin + number)  # a position predicts the token after it
        for row, (question, begin) in enumerate(zip(questions, begins, strict=True))
        for number, column in enumerate(np.flatnonzero(question.learned).tolist())
    ]
    row_M, column_M, target_M, place_M = torch.tensor(where).T.contiguous()
    skipped = int(column_M.min())
    return Batch(ids_BT, mask_BT, ids_BT.shape[1] - skipped, row_M, column_M - skipped, target_M, place_M)
