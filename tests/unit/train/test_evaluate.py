"""Evaluation against answers and losses that are known beforehand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.train.evaluate import answer_accuracy, answers, item_loss, mean_loss, perplexity, text_bits
from tests.unit.train.helpers import codec, model


def items(count: int = 40) -> list[Item]:
    return ItemStream("arithmetic", Split.TEST, 5, (2,)).distinct(count)


class Even(nn.Module):
    """Every token is as likely as any other."""

    def __init__(self) -> None:
        super().__init__()
        self.anything = nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, codec().vocabulary))


def test_answers_in_batches_are_those_of_one_by_one() -> None:
    titan = model()
    titan.train(False)
    chosen = items(7)
    together = answers(titan, codec(), chosen, batch=3)
    assert together == [answers(titan, codec(), [item])[0] for item in chosen]


def test_accuracy_of_a_model_that_knows_all_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right answer is put in as the model's next tokens; every second one ends with a token too many."""
    chosen = items(10)
    said = [codec().ids(item.completion) for item in chosen]
    wrong = {2, 5}

    def generate(input_ids: Tensor, attention_mask: Tensor, max_new_tokens: int, **_: Any) -> Tensor:
        rows = []
        for ids, mask in zip(input_ids, attention_mask, strict=True):
            prompt = codec().text(ids[mask.bool()].tolist())
            place = next(i for i, item in enumerate(chosen) if item.prompt == prompt)
            new = [*said[place], *codec().ids("9")] if place in wrong else said[place]
            new = [*new, codec().eos, *[codec().pad] * max_new_tokens][:max_new_tokens]
            rows.append(torch.cat([ids, torch.tensor(new)]))
        return torch.stack(rows)

    titan = model()
    monkeypatch.setattr(titan, "generate", generate)
    (measured,) = answer_accuracy(titan, codec(), chosen, prefix="cognate")
    assert (measured.name, measured.value, measured.n) == ("cognate/accuracy/arithmetic", 0.8, 10)
    assert "test split" in measured.method


def test_loss_of_an_even_model_is_the_logarithm_of_its_vocabulary() -> None:
    measured = item_loss(Even(), codec(), items(), name="loss", batch=16)
    assert measured.value == pytest.approx(math.log(codec().vocabulary), rel=1e-6)
    (found,) = perplexity(measured, "perplexity")
    assert found.value == pytest.approx(codec().vocabulary, rel=1e-5)
    assert "answer tokens of 40 items" in found.method
    assert perplexity(mean_loss(1e9, 1, 1, name="loss"), "perplexity") == []


def test_loss_is_that_of_the_training_loss() -> None:
    titan = model(act=False, memory=False)
    titan.train(False)
    item = items(1)[0]
    ids, learned = codec().item_ids(item)
    with torch.no_grad():
        logits = titan(input_ids=torch.tensor([ids])).logits[0, :-1]
    wanted = [place for place, is_learned in enumerate(learned) if is_learned]
    expected = F.cross_entropy(logits[[p - 1 for p in wanted]], torch.tensor(ids)[wanted]).item()
    assert item_loss(titan, codec(), [item], name="loss").value == pytest.approx(expected, rel=1e-5)


def test_bits_per_byte_do_not_depend_on_the_length_of_rows_for_an_even_model() -> None:
    """Each token but a text's first costs log2(vocabulary) bits; bytes are those of the same tokens."""
    texts = ["def f(x):\n    return x + 1\n" * 4, "schön, 日本\n"]
    tokens = [codec().document_ids(text) for text in texts]
    size = codec().token_bytes()
    counted = sum(int(size[token]) for row in tokens for token in row[1:])
    expected = sum(len(row) - 1 for row in tokens) * math.log2(codec().vocabulary) / counted
    for length in (2, 7, 1000):
        measured = text_bits(Even(), codec(), texts, name="bits", length=length)
        assert measured.value == pytest.approx(expected, rel=1e-6)
        assert measured.n == 2
