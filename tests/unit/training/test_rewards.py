"""Learning by rewards: its gradient is REINFORCE's, it learns from what was right and from nothing else."""

from __future__ import annotations

import copy
import functools
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.data.items import Item
from agentforge.data.loader import Batch
from agentforge.data.rows import IGNORED
from agentforge.data.scoring import score_items
from agentforge.data.splits import Split
from agentforge.kit import ranks
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.kit.ranks import Ranks
from agentforge.phase5_training.configs.rewards import RewardsConfig
from agentforge.phase5_training.rewards import Group, Rewards, stage_config
from agentforge.train.distribution import own_share
from agentforge.train.loop import Training
from tests import pico
from tests.unit.train.helpers import Context
from tests.unit.training import parts


@functools.cache
def _taught(kind: str, steps: int, fields: tuple[tuple[str, Any], ...]) -> Any:
    usual = {"recursion": False} if kind.endswith("titan") else {"initializer_range": 0.1}
    return pico.trained(parts.model(kind, **usual, **dict(fields)), [("copy", 1)], steps=steps, seed=1)


def taught(kind: str = "llama", steps: int = 60, **fields: Any) -> Any:
    """Right now and then: about single letters, which it is to copy."""
    return copy.deepcopy(_taught(kind, steps, tuple(fields.items())))


def rewards(model: Any, *families: str, **settings: Any) -> Rewards:
    told = {name: settings.pop(name) for name in ("measure", "score") if name in settings}
    config = RewardsConfig(**{"steps": 4, "prompts": 4, "answers": 4, "resampling": 0, **settings})
    return Rewards(model, parts.codec(), {name: [1] for name in families or ("copy",)}, config, seed=1, **told)


def training(model: Any, one: Rewards, **settings: Any) -> Training:
    """In as many steps as rewards have."""
    usual = {"lr": 3e-3, "checkpoint_every": 0, **settings}
    return Training(
        model, one, parts.config(steps=one.config.steps, batch=one.config.rows, **usual), loss_of=one.loss
    )


def gradients(model: Any, loss: Tensor) -> Tensor:
    own = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, own, materialize_grads=True)])


def spoken(batch: Batch) -> list[tuple[list[int], list[int]]]:
    """(prompt, what was said) of each row."""
    rows = []
    for ids, labels, mask in zip(batch.input_ids, batch.labels, batch.attention_mask, strict=True):
        prompt, learned = ids[(labels == IGNORED) & (mask == 1)], ids[labels != IGNORED]
        rows.append((prompt.tolist(), learned.tolist()))
    return rows


def right(batch: Batch, one: Rewards) -> list[float]:
    """Scored anew, from the ids."""
    items = {item.prompt: item for _, item in map(one.prompts.pick, range(one.asked))}
    text = parts.codec().text
    return [float(score_items([items[text(prompt)]], [text(said)])[0]) for prompt, said in spoken(batch)]


@pytest.mark.parametrize(
    ("kind", "near"),
    [("llama", 1e-4), ("ternary llama", 0.03), pytest.param("ternary titan", 0.03, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("normalise", [False, True])
def test_the_gradient_is_that_of_reinforce_token_by_token(kind: str, near: float, normalise: bool) -> None:
    model = taught(kind).train()
    one = rewards(model, normalise=normalise, temperature=0.7)
    batch = next(one)
    reward_GA = np.array(right(batch, one)).reshape(4, 4)
    assert 0 < reward_GA.mean() < 1
    advantage_GA = reward_GA - reward_GA.mean(1, keepdims=True)
    if normalise:
        advantage_GA /= np.maximum(reward_GA.std(1, keepdims=True), 1e-9)
    found = gradients(model, one.loss(model, batch.torch()))
    total, tokens = torch.zeros(()), 0
    model.eval()
    for (prompt, said), advantage in zip(spoken(batch), advantage_GA.flatten().tolist(), strict=True):
        for place, token in enumerate(said):  # each by itself, without padding, company or codes found before
            logits_V = model(input_ids=torch.tensor([prompt + said[:place]])).logits[0, -1]
            total = total + advantage * F.log_softmax(logits_V / 0.7, -1)[token]
            tokens += 1
    by_hand = gradients(model, -total / tokens)
    # Ternary models round activations: what differs in the last bit of a float may differ by one of 127 steps.
    assert by_hand.norm() > 0
    assert (found - by_hand).norm() < near * by_hand.norm()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ternary llama", "ternary titan"])
def test_the_policy_that_learns_is_the_one_that_answered(kind: str) -> None:
    """So GRPO's ratio is 1. A Titan in training may take more steps than in use."""
    fields = {"act_steps_infer": 1} if kind.endswith("titan") else {}
    model = taught(kind, **fields).train()
    one = rewards(model, prompts=1, answers=1_000, temperature=1.3)
    batch = next(one)
    said = [said for _, said in spoken(batch)]
    with torch.no_grad():
        word_XV = one._log_probabilities(model, batch.torch()).exp().numpy()
    assert model.training
    starts = np.cumsum([0, *map(len, said[:-1])])
    likeliest = Counter(each[0] for each in said).most_common(1)[0][0]
    for after in ([], [likeliest]):
        places = [
            place for place, each in enumerate(said) if each[: len(after)] == after and len(each) > len(after)
        ]
        chance_V = word_XV[starts[places[0]] + len(after)]
        share_V = np.bincount([said[place][len(after)] for place in places], minlength=len(chance_V)) / len(places)
        error_V = (chance_V * (1 - chance_V) / len(places)) ** 0.5
        assert (np.abs(share_V - chance_V) <= 4.5 * error_V + 4 / len(places)).all()
    assert chance_V.max() < 0.97, "or it would show nothing"


def test_advantages() -> None:
    group = Group(0, [1], [[2]] * 4, [1.0, 0.0, 0.0, 0.0])
    assert group.tells
    assert group.advantages(normalise=False) == [0.75, -0.25, -0.25, -0.25]
    assert group.advantages(normalise=True) == pytest.approx([3**0.5, *[-(3**-0.5)] * 3])
    for same in (0.0, 1.0):
        alike = Group(0, [1], [[2]] * 4, [same] * 4)
        assert not alike.tells
        assert alike.advantages(normalise=True) == alike.advantages(normalise=False) == [0.0] * 4


@pytest.mark.parametrize("same", [0.0, 1.0])
def test_groups_all_right_or_all_wrong_teach_nothing(same: float) -> None:
    model, measured = taught(), list[Measurement]()
    one = rewards(model, resampling=2, score=lambda items, _: [same] * len(items), measure=measured.append)
    batch = next(one)
    assert batch.weight is not None
    assert batch.weight.tolist() == [0.0] * 16
    assert one.asked == 12, "others were drawn, twice"
    assert not gradients(model, one.loss(model, batch.torch())).any()
    told = {each.name: (each.value, each.n, each.step) for each in measured}
    assert told == {"forge/rewards/reward": (same, 12, 1), "forge/rewards/signal": (0.0, 12, 1)}


def test_other_prompts_are_drawn_for_those_that_teach_nothing() -> None:
    model, measured = taught(), list[Measurement]()
    few, many = rewards(model, resampling=0), rewards(model, resampling=20, measure=measured.append)
    weight_SGA = [next(one).torch()["weight"].view(4, 4) for one in (few, many) for _ in range(3)]
    telling = [int(weight_GA.any(1).sum()) for weight_GA in weight_SGA]
    assert min(telling[:3]) < 4
    assert telling[3:] == [4, 4, 4]
    assert few.asked == 12 < many.asked
    shares = [each for each in measured if each.name == "forge/rewards/signal"]
    assert sum(each.n for each in shares) == many.asked
    assert sum(each.value * each.n for each in shares) == pytest.approx(12, abs=3), "of all that was asked"


def test_rewards_are_the_exact_scorers() -> None:
    measured = list[Measurement]()
    one = rewards(taught(), "arithmetic", "copy", prompts=8, measure=measured.append)
    batch = next(one)
    assert {item.split for _, item in map(one.prompts.pick, range(100))} == {Split.TRAIN}
    reward_GA = np.reshape(right(batch, one), (8, 4))
    assert batch.weight is not None
    assert np.allclose(batch.weight, (reward_GA - reward_GA.mean(1, keepdims=True)).flatten())
    assert measured[0].value == pytest.approx(reward_GA.mean())
    assert set(batch.source.tolist()) == {0, 1}


def test_tools_results_are_nobodys_reward() -> None:
    one = rewards(taught(), "copy")
    both = Rewards(one.model, one.codec, {"copy": [1], "tool_calculator": [1]}, one.config, seed=1)
    assert {item.family for _, item in map(both.prompts.pick, range(50))} == {"copy"}
    with pytest.raises(InvalidInput, match="without a tool") as caught:
        Rewards(one.model, one.codec, {"tool_calculator": [1]}, one.config, seed=1)
    assert caught.value.reason == "NOTHING_TO_REWARD"


@pytest.mark.parametrize("kind", ["ternary titan", "llama"])
def test_the_kl_is_to_the_model_at_the_stages_start(kind: str) -> None:
    model = taught(kind)
    one = rewards(model, kl=0.5, temperature=2.0)
    given, before = next(one).torch(), copy.deepcopy(model)
    plain = rewards(model)
    plain.config = one.config
    assert one.loss(model, given).item() == pytest.approx(plain.loss(model, given).item(), abs=1e-6)
    pico.with_noise(model, 1, share=0.4)
    learned_BT = given["labels"][:, 1:] != IGNORED
    inputs = {name: given[name] for name in ("input_ids", "attention_mask")}
    now_XV, then_XV = (
        F.log_softmax(m.eval()(**inputs).logits[:, :-1][learned_BT] / 2, -1) for m in (model, before)
    )
    by_hand = (now_XV.exp() * (now_XV - then_XV)).sum(-1).mean()
    assert by_hand > 0.01
    loss, without = one.loss(model, given), plain.loss(model, given)
    assert loss.item() == pytest.approx(without.item() + 0.5 * by_hand.item(), rel=1e-4)
    apart = gradients(model, loss) - gradients(model, without) - 0.5 * gradients(model, by_hand)
    assert apart.norm() < 1e-3 * by_hand.item()
    other = rewards(model, kl=0.5, temperature=2.0)
    other.load(one.tensors())
    assert other.loss(model, given).item() == loss.item()


def test_the_kl_holds_the_model(tmp_path: Path) -> None:
    moved = []
    for kl in (1e-9, 1.0):
        model = taught(steps=40)
        one = rewards(model, kl=kl, steps=8)
        training(model, one).run(Context(tmp_path / f"{kl}"))
        given = next(one).torch()
        with torch.no_grad():
            moved.append(one.divergence(model, one._log_probabilities(model, given), given).item())
    assert moved[1] < moved[0] / 3


class Shuffled:
    """As many rewards as before, for anything."""

    def __init__(self) -> None:
        self.dice = random.Random(1)

    def __call__(self, items: Sequence[Item], said: Sequence[str]) -> list[float]:
        found = [float(each) for each in score_items(items, said)]
        self.dice.shuffle(found)
        return found


def success(model: Any) -> float:
    """Of answers by dice."""
    one = rewards(model, prompts=64, answers=8, temperature=1.0)
    measured = list[Measurement]()
    one._measure = measured.append
    one.asked = 1_000
    next(one)
    return measured[0].value


@pytest.mark.slow
def test_it_learns_from_rewards_and_not_from_shuffled_ones(tmp_path: Path) -> None:
    found = {}
    for name, score in (("true", score_items), ("shuffled", Shuffled())):
        model = taught(steps=50)
        one = rewards(model, steps=30, prompts=16, answers=8, resampling=1, score=score)
        training(model, one).run(Context(tmp_path / name))
        found[name] = success(model)
    before = success(taught(steps=50))
    assert 0.2 < before < 0.6
    assert found["true"] > before + 0.15
    assert found["shuffled"] < before + 0.05


@pytest.mark.parametrize("kind", ["ternary titan", "llama"])
def test_killed_it_ends_the_same(kind: str, tmp_path: Path) -> None:
    made: list[Rewards] = []

    def make() -> Training:
        model = taught(kind)
        made.append(rewards(model, kl=0.1, steps=4, resampling=1))
        return training(model, made[-1], checkpoint_every=1)

    parts.assert_killed_is_whole(make, tmp_path, (1, 3))
    assert made[0].asked > 16, "others were drawn, or this showed nothing about their number"
    assert made[-1].state_dict() == made[0].state_dict() == json.loads(json.dumps(made[0].state_dict()))


def test_answers_hang_on_seed_and_step_alone() -> None:
    model = taught()
    one, other = rewards(model), rewards(model)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = spoken(next(one))
    assert torch.equal(torch.get_rng_state(), before), "its dice are its own"
    torch.manual_seed(6)
    assert first == spoken(next(other))
    assert spoken(next(one)) == spoken(next(other)) != first


@dataclass(frozen=True, slots=True)
class Second(Ranks):
    """The second of two ranks: it hears what the first one says."""

    rank: int = 1
    world: int = 2
    heard: Any = None

    def share(self, value: Any) -> Any:
        assert value is None
        return json.loads(json.dumps(self.heard))


def test_ranks_have_one_batch_and_their_losses_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = taught().train()
    one = rewards(model, kl=0.1)
    batch = next(one)
    pico.with_noise(model, 1)
    whole = one.loss(model, batch.torch())
    total = torch.zeros(())
    for rank in range(2):
        share, part = own_share(batch, Ranks(rank, 2))
        total = total + one.loss(model, share.torch()) * part
    assert total.item() == pytest.approx(whole.item(), rel=1e-5)
    assert torch.allclose(gradients(model, total), gradients(model, whole), atol=1e-6)

    leader, follower = rewards(taught()), rewards(None)
    monkeypatch.setattr(ranks, "current", lambda: Second(heard=leader._drawn()))
    heard = next(follower)
    monkeypatch.undo()
    said = next(leader)
    assert spoken(heard) == spoken(said)
    assert np.array_equal(heard.weight, said.weight)  # type: ignore[arg-type]
    assert follower.state_dict() == leader.state_dict()


def test_the_stages_own_settings() -> None:
    train = parts.config(warmup=4, steps=100, embedding_lr=1e-3, grokfast={"filter": "ema"}, accumulation=2)
    found = stage_config(train, RewardsConfig(steps=20, rate=0.5, prompts=3, answers=5))
    assert type(found).model_validate(found.model_dump()) == found
    assert (found.lr, found.muon_lr, found.embedding_lr) == (train.lr / 2, train.muon_lr / 2, 5e-4)
    assert (found.steps, found.batch, found.accumulation, found.warmup) == (20, 15, 1, 2)
    assert found.grokfast.filter == "none"
    assert stage_config(parts.config(), RewardsConfig(steps=1)).embedding_lr is None
