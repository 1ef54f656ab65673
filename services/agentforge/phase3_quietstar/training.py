"""The loss of Quiet-STaR on one batch: think at some places, and learn from how much that helped.

Shapes as in models/thoughts: B rows, P places, N thoughts of a place, L tokens of a thought, A tokens ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.rows import IGNORED
from agentforge.kit import ranks
from agentforge.kit.errors import RunFailed
from agentforge.models.thoughts.generate import Thoughts, Told, generate, log_policy, retell
from agentforge.models.thoughts.injection import Injection, choose, difficulty
from agentforge.models.thoughts.places import targets
from agentforge.models.thoughts.sampling import Draws, entropy, policy
from agentforge.models.thoughts.text import Text, read
from agentforge.models.thoughts.thinker import Mixed, Thinker, mixed
from agentforge.phase3_quietstar.coherence import coherence, filtered
from agentforge.phase3_quietstar.config import QuietStarConfig
from agentforge.phase3_quietstar.loss import (
    divergence,
    divergence_above,
    entropy_below,
    log_likelihood,
    prediction_loss,
    reinforce_loss,
    rewards,
)
from agentforge.phase3_quietstar.sharing import Counts
from agentforge.train.loop import model_loss


@dataclass(frozen=True)
class Thought:
    """One batch, thought about: what the loss is made of, and what is told of it. Detached but for the losses."""

    text: Text
    thoughts: Thoughts
    told: Told
    mixed: Mixed
    there_BPA: Tensor
    kept_BPN: Tensor
    likelihood_BPN: Tensor
    reward_BPN: Tensor
    plain_likelihood_BP: Tensor
    losses: dict[str, Tensor]


class Listener(Protocol):
    """Told of every batch, for reports and samples."""

    def __call__(self, step: int, ids_BT: Tensor, thought: Thought) -> None: ...


def plain_loss(thinker: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Of training without thoughts: the mixing head has no part in it."""
    return model_loss(cast(Thinker, thinker).model, batch)


class ThinkingLoss:
    """A `LossOf` of the training loop. `reference`: the model as it was, where the policy must stay near it."""

    def __init__(self, config: QuietStarConfig, reference: Any | None, listen: Listener) -> None:
        self.config, self.reference, self.listen = config, reference, listen
        fields = config.injection.model_dump()
        self.injection = Injection(**fields)
        self._step, self._part, self._dry = -1, 0, 0
        self.step_of: Callable[[], int] = lambda: 0  # the loop's step, once there is a loop

    def __call__(self, thinker: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        thinker = cast(Thinker, thinker)
        step = self.step_of()
        self._part = self._part + 1 if step == self._step else 0  # several batches of one step think differently
        self._step = step
        own, rows = ranks.current(), len(batch["input_ids"])
        first = own.rank * rows  # of all ranks' rows: each is thought about as if one rank had all
        draws = Draws(self.config.seed, (step, self._part), range(first, first + rows))
        found = think(thinker, batch, self.config, self.injection, draws)
        losses = found.losses
        if self.reference is not None:
            losses["divergence"] = self._divergence(thinker, batch, found)
        counts = Counts.of(batch["labels"], found.thoughts.places_BP, found.there_BPA, found.kept_BPN, own)
        self._check_kept(counts.whole or counts)
        self.listen(step, batch["input_ids"], found)
        weight, losses = self.config.loss, counts.weighed(losses)
        total = weight.text * losses["text"] + losses["ahead"] + weight.reinforce * losses["reinforce"]
        return total + weight.bounds * (losses["entropy"] + losses.get("divergence", torch.zeros_like(total)))

    def _divergence(self, thinker: Thinker, batch: dict[str, Tensor], found: Thought) -> Tensor:
        with torch.no_grad():
            assert self.reference is not None
            reference = self.reference.train(thinker.training)  # Titan passes more often in training
            text = read(reference, batch["input_ids"], batch["attention_mask"])
            theirs = policy_logits(text, retell(text, found.thoughts), thinker, found.thoughts)
        ours = policy_logits(found.text, found.told, thinker, found.thoughts)
        ceiling = cast(float, self.config.loss.divergence_ceiling)
        return divergence_above(divergence(ours, theirs), chosen(found.thoughts, found.kept_BPN), ceiling)

    def _check_kept(self, every: Counts) -> None:
        """A filter that leaves nothing for many batches trains nothing, and nobody would notice."""
        self._dry = self._dry + 1 if every.places and not every.kept else 0
        if self._dry >= _DRY:
            message = f"all thoughts of {_DRY} batches in a row were filtered out as incoherent"
            step = f"Lower coherence.threshold (it is {self.config.coherence.threshold}), or switch the filter off."
            field = "coherence.threshold"
            raise RunFailed(message, reason="ALL_THOUGHTS_FILTERED", field=field, next_step=step)


_DRY = 20


def think(
    thinker: Thinker, batch: dict[str, Tensor], config: QuietStarConfig, injection: Injection, draws: Draws
) -> Thought:
    ids_BT, mask_BT, labels_BT = batch["input_ids"], batch["attention_mask"], batch["labels"]
    text = read(thinker.model, ids_BT, mask_BT)
    logits_BTV = text.head(text.hidden_BTD)
    next_BT = F.pad(labels_BT[:, 1:], (0, 1), value=IGNORED)
    learned_BT = next_BT != IGNORED
    hard_BT = difficulty(text, logits_BTV.detach(), injection, next_BT.clamp_min(0) if injection.loss else None)
    places_BP = choose(hard_BT, learned_BT, injection)
    thoughts, told = thought_of(thinker, text, places_BP, draws)
    targets_BPA, there_BPA = targets(ids_BT, mask_BT, places_BP, config.ahead)
    found = mixed(thinker, text, told, places_BP, targets_BPA, there_BPA)
    likelihood_BPN = log_likelihood(found.logits_BPNAV, targets_BPA, there_BPA)
    plain_BP = log_likelihood(found.base_BPAV.detach()[:, :, None], targets_BPA, there_BPA)[..., 0]
    kept_BPN = kept(thinker, text, thoughts, told, config)
    reward_BPN = rewards(likelihood_BPN, kept_BPN, positive_only=config.loss.positive_only)
    losses = {
        "text": F.cross_entropy(logits_BTV[learned_BT], next_BT[learned_BT]),
        "ahead": prediction_loss(likelihood_BPN, there_BPA, kept_BPN),
        "reinforce": _reinforce(thinker, text, thoughts, told, reward_BPN, kept_BPN),
        "entropy": _entropy_bound(thinker, text, thoughts, told, kept_BPN, config.loss.entropy_floor),
    }
    return Thought(
        text, thoughts, told, found, there_BPA, kept_BPN, likelihood_BPN.detach(), reward_BPN, plain_BP, losses
    )


def thought_of(thinker: Thinker, text: Text, places_BP: Tensor, draws: Draws) -> tuple[Thoughts, Told]:
    """Drawn without gradients and gone through once more with them; at once where they pass the draws."""
    sampling = thinker.habits.sampling
    if sampling.straight_through:
        return generate(text, places_BP, thinker.marks, sampling, draws)
    with torch.no_grad():
        thoughts, _ = generate(text, places_BP, thinker.marks, sampling, draws)
    return thoughts, retell(text, thoughts)


def kept(thinker: Thinker, text: Text, thoughts: Thoughts, told: Told, config: QuietStarConfig) -> Tensor:
    there_BPN = (thoughts.places_BP >= 0)[..., None].expand(thoughts.ids_BPNL.shape[:3])
    if not config.coherence.filter:
        return there_BPN
    found = coherence(text, thoughts, told, thinker.marks, thinker.habits.sampling.temperature)
    return filtered(found, thoughts.places_BP, config.coherence.threshold).kept_BPN


def chosen(thoughts: Thoughts, kept_BPN: Tensor) -> Tensor:
    """Which tokens of kept thoughts were drawn by the model; as `policy_logits` counts them."""
    return (thoughts.chosen_BPNL & kept_BPN[..., None])[..., 1:]


def policy_logits(text: Text, told: Told, thinker: Thinker, thoughts: Thoughts) -> Tensor:
    """Of the token after each but the last."""
    logits = text.head(told.hidden_BPNLD[..., :-1, :])
    return policy(logits, thinker.marks.start, thinker.habits.sampling.temperature)


def _reinforce(
    thinker: Thinker, text: Text, thoughts: Thoughts, told: Told, reward_BPN: Tensor, kept_BPN: Tensor
) -> Tensor:
    log_BPNL = log_policy(text, thoughts, told, thinker.marks, thinker.habits.sampling.temperature)
    return reinforce_loss(reward_BPN, log_BPNL, kept_BPN)


def _entropy_bound(
    thinker: Thinker, text: Text, thoughts: Thoughts, told: Told, kept_BPN: Tensor, floor: float
) -> Tensor:
    if not floor:
        return text.hidden_BTD.new_zeros(())
    entropy_BPNL = entropy(policy_logits(text, told, thinker, thoughts))
    return entropy_below(entropy_BPNL, chosen(thoughts, kept_BPN), floor)
