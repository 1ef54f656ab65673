"""Sudoku for a causal model, and the training of a small Titan on it, for `sudoku`.

A row has a token for each cell, which says where the cell is and what stands in it: first the clues, then the
blanks, in random order, so that a blank sees all clues and the blanks before it. Its solution is asked for at its
own position and is no input of any. B puzzles, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from agentforge.data.splits import Split, assert_disjoint
from agentforge.data.sudoku import CELLS, SIDE, Puzzle, box, disguised, puzzles
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.models.modeling_titan import Run, normalise
from agentforge.train.config import TrainConfig
from agentforge.train.machine import settled
from agentforge.train.optim import Optimiser

BLANKS = (8, 12, 16, 20)
TRAIN_PUZZLES, TEST_PUZZLES, BATCH = 1_000, 400, 32
LOOK_EVERY = 100
_WIDTH, _WIDE, _WIDER = 64, 240, 251  # without recursion the MLP is wider, for as many parameters
_STATES = SIDE + 1  # of a cell: blank or a digit
_ANSWERS = CELLS * _STATES  # the first of six tokens for a digit
_END = _ANSWERS + SIDE  # carries the last label, which stands one column behind its position


def learn(recursion: Recursion, steps: int, seed: int) -> dict[str, Any]:
    """Train from scratch on random forms of 1,000 puzzles; then solve held-out ones."""
    config = TrainConfig(steps=steps, batch=BATCH, lr=3e-3, muon_lr=0.02, decay=0.3, threads=1)
    train, test = (puzzles(split, 42, n, BLANKS) for split, n in _SETS.items())
    assert_disjoint({"train": [each.key for each in train], "test": [each.key for each in test]})
    with settled(config):
        torch.manual_seed(Rng(seed, "sudoku/start").seed)
        model = titan(recursion, Rng(seed, "sudoku/tokens").torch())
        flops = _flops(model, train[:BATCH])
        curve = _train(model, train, config, seed)
        return {
            "parameters": model.num_parameters(),
            "training_flops": flops * steps,
            "loss": curve,
            "test": _solve(model, test),
            "train": _solve(model, train[:TEST_PUZZLES]),
        }


_SETS = {Split.TRAIN: TRAIN_PUZZLES, Split.TEST: TEST_PUZZLES}


@dataclass(frozen=True)
class Recursion:
    cycles: int  # TRM's T; 0: no recursion
    inner: int  # TRM's n
    learned: int  # the last passes, which carry gradient; in Titan those of the last cycle
    bounded: bool  # y is normalised after each cycle; in Titan it never is

    @property
    def is_titans(self) -> bool:
        return self.cycles == 0 or (self.learned == self.inner and not self.bounded)


class Variant(TitanForCausalLM):  # type: ignore[no-untyped-call]
    recursion: Recursion

    def _reason(
        self, x_BTD: Tensor, y_BTD: Tensor, z_BTD: Tensor, scale: Tensor | float, run: Run
    ) -> tuple[Tensor, Tensor]:
        assert self.consolidate is not None
        learning, inner = torch.is_grad_enabled(), self.config.recursion_inner
        passes = self.config.recursion_cycles * inner
        for number in range(1, passes + 1):
            with torch.set_grad_enabled(learning and number > passes - self.recursion.learned):
                z_BTD = normalise(self._pass(x_BTD + y_BTD + z_BTD, run))
                if number % inner == 0:
                    y_BTD = y_BTD + scale * self.consolidate(z_BTD)
                    y_BTD = normalise(y_BTD) if self.recursion.bounded else y_BTD
        return y_BTD, z_BTD


def titan(recursion: Recursion, generator: torch.Generator) -> TitanForCausalLM:
    cycles, inner = recursion.cycles, recursion.inner
    shape = TitanConfig(
        vocab_size=_END + 1, hidden_size=_WIDTH, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=_WIDE if cycles else _WIDER, memory=False, persistent_tokens=0, sliding_window=None,
        rope_theta=1e9,  # the tokens say where they are: their places in the row hardly turn anything
        act=False, recursion=cycles > 0, recursion_cycles=max(1, cycles), recursion_inner=max(1, inner),
    )  # fmt: skip
    model = TitanForCausalLM(shape) if recursion.is_titans else Variant(shape)
    if isinstance(model, Variant):
        model.recursion = recursion
    _name_cells(model.embed_tokens.weight, generator)
    return model


@torch.no_grad()
def _name_cells(weight_VD: Tensor, generator: torch.Generator) -> None:
    """A cell's token starts as the sum of its row, column, box and content: 252 tokens need not find that out."""
    parts = torch.randn(4, _STATES, weight_VD.shape[1], generator=generator) * 0.02
    for cell in range(CELLS):
        for content in range(_STATES):
            row, column = divmod(cell, SIDE)
            weight_VD[cell * _STATES + content] = (
                parts[0, row] + parts[1, column] + parts[2, box(cell)] + parts[3, content]
            )


def encode(batch: Sequence[Puzzle], rng: Random) -> tuple[Tensor, Tensor]:
    """Tokens (B, 37) and labels (B, 37), which stand one column behind the blank that they belong to."""
    tokens, labels = [], []
    for puzzle in batch:
        cells = sorted(rng.sample(range(CELLS), CELLS), key=lambda cell: puzzle.clues[cell] == 0)
        tokens.append([*(cell * _STATES + puzzle.clues[cell] for cell in cells), _END])
        answers = (-100 if puzzle.clues[cell] else _ANSWERS + puzzle.solution[cell] - 1 for cell in cells)
        labels.append([-100, *answers])
    return torch.tensor(tokens), torch.tensor(labels)


def _train(model: TitanForCausalLM, train: Sequence[Puzzle], config: TrainConfig, seed: int) -> list[float]:
    """The mean loss of each stretch of steps."""
    optimiser, losses = Optimiser(model, config), []
    model.train()
    for step in range(config.steps):
        rng = Rng(seed, "sudoku/train", step).python()
        losses.append(_backward(model, [disguised(rng.choice(train), rng) for _ in range(BATCH)], rng))
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimiser.step(step)
        optimiser.zero()
    return [sum(losses[at : at + LOOK_EVERY]) / LOOK_EVERY for at in range(0, config.steps, LOOK_EVERY)]


def _backward(model: TitanForCausalLM, batch: Sequence[Puzzle], rng: Random) -> float:
    token_BT, label_BT = encode(batch, rng)
    loss = model(input_ids=token_BT, labels=label_BT, logits_to_keep=1).loss
    loss.backward()
    return float(loss.detach())


def _flops(model: TitanForCausalLM, batch: Sequence[Puzzle]) -> int:
    """Of one training step, counted; its gradients are thrown away."""
    model.train()
    # The counter does not know the CPU's fused attention: here it is taken apart.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        _backward(model, batch, Rng(0, "sudoku/flops").python())
    model.zero_grad()
    return int(counter.get_total_flops())


@torch.no_grad()
def _solve(model: TitanForCausalLM, asked: Sequence[Puzzle]) -> dict[str, dict[str, float]]:
    """Percent of blanks filled rightly and of puzzles without a mistake, by number of blanks and over all."""
    model.eval()  # type: ignore[no-untyped-call]
    groups = {str(n): [each for each in asked if each.blanks == n] for n in BLANKS} | {"all": list(asked)}
    return {name: _score(model, group) for name, group in groups.items()}


def _score(model: TitanForCausalLM, group: Sequence[Puzzle]) -> dict[str, float]:
    token_BT, label_BT = encode(group, Rng(0, "sudoku/order").python())
    blank_BT = label_BT[:, 1:] >= 0
    wrong_BT = (model(input_ids=token_BT).logits[:, :-1].argmax(-1) != label_BT[:, 1:]) & blank_BT
    return {
        "cells": 100 * (1 - float(wrong_BT.sum() / blank_BT.sum())),
        "puzzles": 100 * (1 - float(wrong_BT.any(1).float().mean())),
        "n": len(group),
    }
