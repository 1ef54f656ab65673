"""Constrained decoding with torch: a model that can say nothing but text and calls that its tools understand.

model.generate(ids, logits_processor=LogitsProcessorList([Constraint(specs, tokenizer).processor()]))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor

from agentforge.kit.errors import FailedPrecondition
from agentforge.tools.grammar import MARKS, call_grammar, checked, needs_llguidance
from agentforge.tools.tool import ToolSpec

if TYPE_CHECKING:
    from llguidance import LLMatcher
    from transformers import PreTrainedTokenizerFast


class Constraint:
    """The grammar of some tools for one tokenizer: made once, used by any number of generations."""

    def __init__(self, specs: Sequence[ToolSpec], tokenizer: PreTrainedTokenizerFast) -> None:
        needs_llguidance()
        from llguidance.hf import from_tokenizer

        special = set(MARKS) <= tokenizer.get_vocab().keys()
        self._tokenizer = from_tokenizer(tokenizer)
        self.grammar = checked(specs, call_grammar(specs, special=special), special, self._tokenizer)

    def matcher(self) -> LLMatcher:
        """One answer's state: `consume_token` each that was said, `allowed` what may come next."""
        from llguidance import LLMatcher

        return LLMatcher(self._tokenizer, self.grammar, log_level=0)

    def processor(self) -> ConstrainedCalls:
        """For one call of `generate`."""
        return ConstrainedCalls(self)


class ConstrainedCalls(LogitsProcessor):
    """What the prompt holds is not judged: the grammar begins where `generate` does."""

    def __init__(self, constraint: Constraint) -> None:
        self._constraint = constraint
        self._rows: list[_Row] = []
        self._prompt: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """[B, T] tokens and [B, V] scores; scores of what the grammar forbids become -inf."""
        if self._prompt is None:
            self._prompt = input_ids.shape[1]
        said_BT = input_ids[:, self._prompt :].tolist()
        while len(self._rows) < len(said_BT):
            self._rows.append(_Row(self._constraint.matcher()))
        scores = scores.clone()
        for number, said in enumerate(said_BT):
            matcher = self._rows[number].after(said)
            if not matcher.is_stopped():  # else the answer has ended, and what comes is padding
                scores[number].masked_fill_(~allowed(matcher, scores.shape[1]).to(scores.device), float("-inf"))
        return scores


class _Row:
    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher
        self._said: list[int] = []

    def after(self, said: list[int]) -> LLMatcher:
        """The state behind these tokens. Beam search swaps rows: then it is found anew."""
        if said[: len(self._said)] != self._said:
            self._matcher.reset()
            self._said = []
        for token in said[len(self._said) :]:
            if not self._matcher.is_stopped() and not self._matcher.consume_token(token):
                message = f"the grammar has no place for token {token}: {self._matcher.get_error()[:200]}"
                step = "Use one processor for one call of generate, and no other that undoes it."
                raise FailedPrecondition(message, reason="NOT_IN_GRAMMAR", field="grammar", next_step=step)
        self._said = said
        return self._matcher


def allowed(matcher: LLMatcher, vocabulary: int) -> torch.Tensor:
    """[V], bool: tokens that may come next. Places of an embedding that no token has stay forbidden."""
    bits = torch.frombuffer(bytearray(matcher.compute_bitmask()), dtype=torch.uint8)
    bits_V = (bits[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
    found: Any = torch.zeros(vocabulary, dtype=torch.bool)
    known = bits_V.flatten().bool()[:vocabulary]
    found[: len(known)] = known
    return torch.as_tensor(found)
