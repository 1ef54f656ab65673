"""One forward pass to all numbers: the same as generating and as training's loss, and nobody else's business."""

import functools
import math
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.evaluation import evaluate
from agentforge.phase2_evomerge.evaluation.batches import Encoded
from agentforge.phase2_evomerge.evaluation.evaluate import Evaluator, Tensors
from agentforge.phase2_evomerge.evaluation.outcome import Outcome
from agentforge.phase2_evomerge.evaluation.questions import Questions
from agentforge.train.evaluate import answer_accuracy, item_loss
from agentforge.train.state import own_tensors, put_tensors
from tests.unit.train.helpers import codec, model

torch.set_num_threads(1)


@functools.cache
def questions() -> Questions:
    return Questions.drawn({"arithmetic": [2], "recall": [2, 3]}, Split.TEST, count=16, seed=3)


def sheet(batch: int = 5) -> Encoded:
    return questions().encoded(codec(), context=None, batch=batch)


def llama(*, tied: bool = True) -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=codec().vocabulary, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=tied,
        eos_token_id=codec().eos, pad_token_id=codec().pad, bos_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def titan(**overrides: Any) -> Any:
    return model(**{"hidden_size": 32, "sliding_window": 64, **overrides}).eval()


def taught(pupil: Any, steps: int = 60) -> Any:
    """Every second item by heart, so that some answers are right and some are wrong."""
    items = [item for each in questions().items.values() for item in each[::2]]
    rows = [codec().item_ids(item) for item in items]
    width = max(len(ids) for ids, _ in rows)
    ids_BT = torch.tensor([ids + [codec().pad] * (width - len(ids)) for ids, _ in rows])
    learned_BT = torch.tensor([learned + [False] * (width - len(learned)) for _, learned in rows])
    optimizer = torch.optim.Adam(pupil.parameters(), 1e-2)
    for _ in range(steps):
        pupil(input_ids=ids_BT, labels=ids_BT.masked_fill(~learned_BT, -100)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return pupil.eval()


def population(of: nn.Module, count: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [
        {name: each + 0.05 * torch.randn(each.shape, generator=generator) for name, each in own_tensors(of).items()}
        for _ in range(count)
    ]


def same(one: Outcome, other: Outcome) -> bool:
    """To the bit; a loss that is no number is the same as another."""
    numbers = ((each.nats, each.accuracies, each.predicted_A.tolist(), each.steps) for each in (one, other))
    return len(set(map(repr, numbers))) == 1


def close(one: Outcome, other: Outcome) -> None:
    assert one.nats == pytest.approx(other.nats, abs=1e-5)
    assert (one.accuracies, one.steps) == (other.accuracies, other.steps)
    assert one.disagreement(other) == 0


class Even(nn.Module):
    """Every token is as likely as any other; a forward without any of Hugging Face's options."""

    def __init__(self) -> None:
        super().__init__()
        self.anything = nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, codec().vocabulary) + self.anything)


def test_an_even_model_has_the_vocabulary_as_its_perplexity() -> None:
    even = Even()
    outcome = Evaluator(even, sheet()).outcome(own_tensors(even))
    assert outcome.perplexity == pytest.approx(codec().vocabulary, rel=1e-6)
    assert (outcome.accuracy, outcome.steps) == (0.0, 1.0)


@pytest.mark.parametrize("make", [titan, llama], ids=["titan", "llama"])
def test_numbers_are_those_of_generation_and_of_the_training_loss(make: Any) -> None:
    pupil = taught(make())
    outcome = Evaluator(pupil, sheet()).outcome(own_tensors(pupil))
    for family, items in questions().items.items():
        (greedy,) = answer_accuracy(pupil, codec(), items, prefix="x")
        assert outcome.accuracies[family] == greedy.value
        assert 0.3 < greedy.value < 1  # or the comparison would say little
        loss = item_loss(pupil, codec(), items, name="loss")
        assert outcome.nats[family] == pytest.approx(loss.value, rel=1e-5)
    assert outcome.loss == pytest.approx(sum(outcome.nats.values()) / 2)
    assert outcome.accuracy == pytest.approx(sum(outcome.accuracies.values()) / 2)


def test_the_end_belongs_to_the_answer() -> None:
    pupil = llama(tied=False)
    tensors = dict(own_tensors(taught(pupil)))
    before = Evaluator(pupil, sheet()).outcome(tensors)
    head = tensors["lm_head.weight"].clone()
    head[codec().eos] = 0
    head[codec().eos] -= (
        100 * tensors["lm_head.weight"][codec().eos]
    )  # the end is now the least likely where it was
    after = Evaluator(pupil, sheet()).outcome(tensors | {"lm_head.weight": head})
    assert before.accuracy > 0.3
    assert after.accuracy == 0


@pytest.mark.parametrize("make", [titan, llama], ids=["titan", "llama"])
def test_a_candidate_is_evaluated_by_its_own_tensors_and_alone(make: Any) -> None:
    host = make()
    before = {name: tensor.clone() for name, tensor in own_tensors(host).items()}
    candidates = population(host, 4)
    together = Evaluator(host, sheet()).outcomes(candidates)
    alone = Evaluator(host, sheet()).outcome(candidates[2])
    assert same(together[2], alone)
    assert all(torch.equal(before[name], tensor) for name, tensor in own_tensors(host).items())
    put_tensors(host, candidates[2])  # ties and buffers as in a loaded model
    assert same(alone, Evaluator(host, sheet()).outcome(own_tensors(host)))
    assert len({outcome.loss for outcome in together}) == 4


@pytest.mark.parametrize("make", [titan, llama], ids=["titan", "llama"])
def test_batches_and_modes_do_not_change_what_is_measured(make: Any) -> None:
    host = make()
    tensors = own_tensors(host)
    host.train()  # more ponder steps, dropout: not when evaluated
    by_five = Evaluator(host, sheet(5)).outcome(tensors)
    assert not host.training
    close(by_five, Evaluator(host, sheet(1)).outcome(tensors))
    close(by_five, Evaluator(host, sheet(32)).outcome(tensors))


@pytest.mark.parametrize("make", [titan, llama], ids=["titan", "llama"])
def test_stacked_candidates_have_the_same_numbers_in_any_share(make: Any) -> None:
    host = make()
    candidates = population(host, 5)
    loop = Evaluator(host, sheet()).outcomes(candidates)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # attention has no batching rule on CPUs
        stacked = Evaluator(host, sheet(), together=3).outcomes(candidates)
        share = Evaluator(host, sheet(), together=3).outcomes(candidates[3:])
    for one, other in zip(loop, stacked, strict=True):
        close(one, other)
    assert all(same(one, other) for one, other in zip(stacked[3:], share, strict=True))


def test_stacks_are_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are chosen by shape: a rank with fewer candidates must not take another one."""
    sizes = []

    def watched(function: Any) -> Any:
        def call(stacked: dict[str, Tensor]) -> Any:
            sizes.append(len(next(iter(stacked.values()))))
            return torch.func.vmap(function)(stacked)

        return call

    monkeypatch.setattr(evaluate, "vmap", watched)
    even = Even()
    found = Evaluator(even, sheet(), together=3).outcomes([own_tensors(even)] * 4)
    assert len(found) == 4
    assert set(sizes) == {3}


def test_equal_weights_are_run_once() -> None:
    even = Even()

    def digest(tensors: Tensors) -> str:
        return repr(float(tensors["anything"]))

    evaluator = Evaluator(even, sheet(), digest=digest)
    one, two = {"anything": torch.ones(1)}, {"anything": torch.full((1,), 2.0)}
    found = evaluator.outcomes([one, two, {"anything": torch.ones(1)}])
    assert evaluator.evaluated == 2
    assert found[0] is found[2]
    assert found[0] is not found[1]
    assert evaluator.outcome(two) is found[1]
    assert evaluator.evaluated == 2


def test_tensors_of_another_model_are_refused_by_name() -> None:
    host = llama()
    tensors = dict(own_tensors(host))
    evaluator = Evaluator(host, sheet())
    with pytest.raises(InvalidInput, match=r"model\.norm\.weight"):
        evaluator.outcome({name: each for name, each in tensors.items() if name != "model.norm.weight"})
    with pytest.raises(InvalidInput, match=r"model\.norm\.weight"):
        evaluator.outcome(tensors | {"model.norm.weight": torch.ones(1)})


def test_broken_weights_are_a_result() -> None:
    host = llama()
    tensors = {name: torch.full_like(each, math.nan) for name, each in own_tensors(host).items()}
    outcome = Evaluator(host, sheet()).outcome(tensors)
    assert math.isnan(outcome.perplexity)
    assert outcome.accuracy == 0
    assert Outcome({"a": 1e6}, {"a": 0.0}, outcome.predicted_A, 1.0).perplexity == math.inf


class NoNumber(Even):
    """The next token's logit is NaN, which argmax takes for the largest."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        logits = torch.zeros(*input_ids.shape, codec().vocabulary) + self.anything
        return SimpleNamespace(logits=logits.scatter(2, input_ids.roll(-1, 1)[:, :, None], math.nan))


def test_what_is_not_a_number_is_no_right_answer() -> None:
    broken = NoNumber()
    outcome = Evaluator(broken, sheet()).outcome(own_tensors(broken))
    assert (outcome.predicted_A == sheet().target_A).all()
    assert outcome.accuracy == 0


def test_disagreement_counts_answer_tokens_of_items() -> None:
    host = llama()
    first, second = Evaluator(host, sheet()).outcomes(population(host, 2))
    asked = [item for each in questions().items.values() for item in each]
    assert len(first.predicted_A) == sum(len(codec().ids(item.completion)) + 1 for item in asked)
    assert first.disagreement(first) == 0
    expected = (first.predicted_A != second.predicted_A).mean()
    assert first.disagreement(second) == second.disagreement(first) == pytest.approx(expected)
    assert expected > 0


def test_ponder_steps_are_those_of_real_tokens() -> None:
    """A head that halts at once, never, and as it comes; counted padding would show in the last."""
    host = titan(memory=False, recursion=False, act_steps_train=3, act_steps_infer=3)
    tensors = {name: each.clone() for name, each in own_tensors(host).items()}
    evaluator = Evaluator(host, sheet(32))
    for bias, expected in ((50.0, 1.0), (-50.0, 3.0)):
        tensors["halting.step_bias"].fill_(bias)
        assert evaluator.outcome(tensors).steps == expected
    tensors["halting.step_bias"].zero_()
    mixed = evaluator.outcome(population(host, 1)[0]).steps
    assert 1 < mixed < 3
    assert Evaluator(host, sheet(1)).outcome(population(host, 1)[0]).steps == mixed  # no padding at all
