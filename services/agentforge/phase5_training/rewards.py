"""Verifiable rewards: answers that the model draws itself are scored exactly, and it learns what sets the right
ones of a group apart from the wrong ones.

GRPO (Shao et al. 2024) with what later work put right: a mean over all tokens (DAPO, Yu et al. 2025), no division
by the group's deviation (Dr. GRPO, Liu et al. 2025) unless that is asked for, and other prompts in place of those
whose answers are all alike (DAPO). An exact scorer is not led astray as a learned one is: no KL by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, pstdev
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.loader import Batch, batch_of
from agentforge.data.rows import IGNORED
from agentforge.data.scoring import score_items
from agentforge.data.splits import Split
from agentforge.kit import ranks
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.models.ternary.linear import frozen
from agentforge.phase5_training.configs.rewards import RewardsConfig
from agentforge.phase5_training.sampling import answerable, answers, said_row
from agentforge.train.config import GrokfastConfig, TrainConfig
from agentforge.train.state import own_tensors

Score = Callable[[Sequence[Item], Sequence[str]], Sequence[float]]
"""A reward for each item and what was said to it."""


class Group(NamedTuple):
    """One prompt, what the model said to it, and what that was worth. Plain JSON as a list."""

    source: int
    prompt: list[int]
    said: list[list[int]]
    rewards: list[float]

    @property
    def tells(self) -> bool:
        """Some answers were better than others."""
        return len(set(self.rewards)) > 1

    def advantages(self, *, normalise: bool) -> list[float]:
        mean = fmean(self.rewards)
        size = pstdev(self.rewards) if normalise and self.tells else 1.0
        return [(reward - mean) / size for reward in self.rewards]


class Prompts:
    """Items of the training split, by number; others than in supervised rows, but for what chance repeats."""

    def __init__(self, families: Mapping[str, Sequence[int]], seed: int) -> None:
        self.seed = Rng(seed, "training/rewards").seed
        streams = [ItemStream(name, Split.TRAIN, self.seed, families[name] or None) for name in sorted(families)]
        self.streams = [stream for stream in streams if answerable(stream.item(0))]
        if not self.streams:
            message = "no family can be answered without a tool, so there is nothing to reward"
            step = "Add another family, or switch rewards off (steps 0)."
            raise InvalidInput(message, reason="NOTHING_TO_REWARD", field="rewards.steps", next_step=step)

    def pick(self, number: int) -> tuple[int, Item]:
        source = Rng(self.seed, "training/rewards/family", number).python().randrange(len(self.streams))
        return source, self.streams[source].item(number)


class Rewards:
    """`Batches` of answers by the model as it is when one is asked for: never behind a Prefetch. `loss` goes with
    them. One batch makes one step, so the policy that learns is the one that answered. `measure` hears of each.
    """

    def __init__(
        self,
        model: Any,
        codec: Codec,
        families: Mapping[str, Sequence[int]],  # difficulties of each; none: those of its start
        config: RewardsConfig,
        *,
        seed: int,
        score: Score = score_items,
        measure: Callable[[Measurement], object] = lambda _: None,
    ) -> None:
        self.model, self.codec, self.config, self.seed = model, codec, config, seed
        self.prompts, self._score, self._measure = Prompts(families, seed), score, measure
        self.step = 0  # batches handed out
        self.asked = 0  # prompts
        self.start: dict[str, Tensor] = {}  # the model when the stage began, where KL holds it

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self.config.kl and not self.start:
            self.start = {name: tensor.clone() for name, tensor in own_tensors(self.model).items()}
        own = ranks.current()
        # One rank answers for all: floats of another machine could make other words.
        drawn = [Group(*each) for each in own.share(self._drawn() if own.leads else None)]
        self.asked += len(drawn)
        self.step += 1
        self._tell(drawn)
        # Those that tell nothing come last: where there are too few others they fill the batch, and weigh nothing.
        return self._batch(sorted(drawn, key=lambda group: not group.tells)[: self.config.prompts])

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """A `LossOf`: minus each token's log-probability times its answer's advantage, mean over learned tokens.

        GRPO's ratio of new to old policy is 1 where each batch makes one step, and its clipping never acts: what is
        left has the gradient of REINFORCE.
        """
        now_XV = self._log_probabilities(model, batch)
        learned_BT = batch["labels"][:, 1:] != IGNORED
        nats_X = F.nll_loss(now_XV, batch["labels"][:, 1:][learned_BT], reduction="none")
        weight_X = batch["weight"][:, None].expand_as(learned_BT)[learned_BT]
        loss = (weight_X * nats_X).mean()
        return loss + self.config.kl * self.divergence(model, now_XV, batch) if self.start else loss

    def divergence(self, model: nn.Module, now_XV: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """KL(model || model at the stage's start) in nats, over all words, mean over learned tokens."""
        with torch.no_grad():
            then_XV = self._log_probabilities(model, batch, self.start)
        return (now_XV.exp() * (now_XV - then_XV)).sum(-1).mean()

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "asked": self.asked}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step, self.asked = state["step"], state["asked"]

    def tensors(self) -> dict[str, Tensor]:
        return self.start

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.start = {name: tensor.to(self.model.device, copy=True) for name, tensor in tensors.items()}

    def _log_probabilities(
        self, model: nn.Module, batch: dict[str, Tensor], tensors: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Of every word at each learned place [X, V], by the policy that answered: at its temperature, and with the
        model as it is used (a Titan in training may take another number of steps)."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        was_training = model.training
        model.eval()
        if tensors is None:
            with frozen(model):  # a Titan passes its layers several times
                logits_BTV = model(**inputs).logits
        else:  # not frozen: the codes would be those of now
            logits_BTV = functional_call(model, dict(tensors), kwargs=inputs).logits
        model.train(was_training)
        learned_BT = batch["labels"][:, 1:] != IGNORED
        return F.log_softmax(logits_BTV[:, :-1][learned_BT].float() / self.config.temperature, -1)

    def _drawn(self) -> list[Group]:
        """Prompts until enough of them tell something, or have been drawn often enough."""
        drawn: list[Group] = []
        for _ in range(1 + self.config.resampling):
            missing = self.config.prompts - sum(group.tells for group in drawn)
            if missing:
                drawn += self._answered(self.asked + len(drawn), missing)
        return drawn

    def _answered(self, first: int, count: int) -> list[Group]:
        """The prompts from this number on."""
        each, config = self.config.answers, self.config
        picked = [self.prompts.pick(first + place) for place in range(count)]
        items = [item for _, item in picked for _ in range(each)]
        key = Rng(self.seed, "training/rewards/answers", first).seed
        said = answers(self.model, self.codec, items, config.temperature, key, config.rows)
        rewards = [float(one) for one in self._score(items, [self.codec.text(ids) for ids in said])]
        groups = []
        for at, (source, item) in zip(range(0, len(items), each), picked, strict=True):
            prompt, group = self.codec.prompt_ids(item.prefix + item.prompt), slice(at, at + each)
            groups.append(Group(source, prompt, said[group], rewards[group]))
        return groups

    def _batch(self, groups: Sequence[Group]) -> Batch:
        rows = [said_row([*group.prompt, *ids], len(ids)) for group in groups for ids in group.said]
        sources = np.repeat([group.source for group in groups], self.config.answers)
        weight = [one for group in groups for one in group.advantages(normalise=self.config.normalise)]
        return replace(batch_of(rows, None, self.codec.pad, sources), weight=np.array(weight, np.float32))

    def _tell(self, drawn: Sequence[Group]) -> None:
        means, tell = [fmean(group.rewards) for group in drawn], [float(group.tells) for group in drawn]
        method = (
            f"{self.config.answers} answers to a prompt, at temperature {self.config.temperature}, scored exactly"
        )
        for name, values in (("reward", means), ("signal", tell)):
            found = Measurement.of_samples(f"forge/rewards/{name}", values, "1", method)
            self._measure(replace(found, step=self.step))


def stage_config(train: TrainConfig, rewards: RewardsConfig) -> TrainConfig:
    """Of the stage's own loop: the rates lower, and nothing that was for supervised rows."""
    changed: dict[str, Any] = {name: rate * rewards.rate for name in _RATES if (rate := getattr(train, name))}
    changed |= {"steps": rewards.steps, "batch": rewards.rows, "accumulation": 1, "grokfast": GrokfastConfig()}
    changed |= {"warmup": min(train.warmup, rewards.steps // 10), "evaluate_every": 0, "patience": 0}
    return train.model_copy(update=changed)


_RATES = ("lr", "embedding_lr", "muon_lr")
