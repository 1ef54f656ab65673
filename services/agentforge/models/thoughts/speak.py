"""Speaking with thoughts: token by token, and where the next one is hard a thought, which serves the next few.

Shapes as in mask.py, and R the rows that a thought serves, V vocabulary. Each has one place, so N thoughts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from agentforge.kit.rng import Rng
from agentforge.models.thoughts.generate import Thoughts, generate, retell
from agentforge.models.thoughts.mixing import mean_prediction, mix
from agentforge.models.thoughts.sampling import Draws, entropy
from agentforge.models.thoughts.text import positions, read
from agentforge.models.thoughts.thinker import Habits, Thinker


@dataclass(frozen=True)
class HadThought:
    after: int  # tokens said before it
    ids: list[list[int]]  # of each of the N thoughts, between its marks
    alpha: list[float] = field(default_factory=list)  # of each token that it served, the end too; mean over N


@dataclass(frozen=True)
class Spoken:
    ids: list[int]  # up to and without the end
    thoughts: list[HadThought]


class Heard(NamedTuple):
    row: int
    what: int | HadThought  # a token said, or a thought just had: it has served nothing yet, so no alpha


Hear = Callable[[Heard], object]
Spoil = Callable[[Thoughts], Thoughts]


@torch.no_grad()
def speak(
    thinker: Thinker,
    prompts: list[list[int]],
    rooms: list[int],
    *,
    eos: int,
    pad: int,
    temperature: float = 0.0,
    seed: int = 0,
    spoil: Spoil | None = None,
    hear: Hear | None = None,
    rows: Sequence[int] | None = None,
) -> list[Spoken]:
    """What is said after each prompt, at most its room of tokens; all rows in step.

    `rows` names the prompts for the dice, as in Draws; without it the first is 0. `seed`: of the tokens said.
    """
    speech = _Speech(thinker, prompts, pad, rows or range(len(prompts)), spoil, hear or (lambda _: None))
    open_rows = [row for row, room in enumerate(rooms) if room > 0]
    while open_rows:
        log_BV = speech.predict(open_rows)
        chosen = _chosen(log_BV, temperature, seed, speech.names, speech.step)
        open_rows = [row for row in open_rows if chosen[row] != eos]
        for row in open_rows:
            speech.tell(row, chosen[row])
        open_rows = [row for row in open_rows if len(speech.said[row].ids) < rooms[row]]
        if open_rows:
            speech.append([chosen[row] if row in open_rows else pad for row in range(len(prompts))], open_rows)
    return speech.said


class _Speech:
    def __init__(
        self, thinker: Thinker, prompts: list[list[int]], pad: int, names: Sequence[int], spoil: Spoil | None,
        hear: Hear,
    ) -> None:  # fmt: skip
        self.thinker, self.names, self._spoil, self._hear = thinker, names, spoil, hear
        self.plain = _Plain(thinker.model, prompts, pad)
        self.said = [Spoken([], []) for _ in prompts]
        self.step = 0
        self._serving: list[_Serving] = []

    def predict(self, open_rows: list[int]) -> Tensor:
        """Logits of the next token [B, V]; of a row that a thought serves, log-probabilities."""
        hidden_BD, base_BV = self.plain.forward()
        self._think(open_rows, base_BV)
        log_BV = base_BV.clone()
        for group in self._serving:
            log_BV[group.rows], alpha_R = group.predict(hidden_BD, base_BV)
            for row, alpha in zip(group.rows, alpha_R.tolist(), strict=True):
                if row in open_rows:
                    self.said[row].thoughts[-1].alpha.append(alpha)
        if self.thinker.habits.threshold is not None:  # a mark is not a word
            log_BV[:, [self.thinker.marks.start, self.thinker.marks.end]] = -math.inf
        return log_BV

    def tell(self, row: int, token: int) -> None:
        self.said[row].ids.append(token)
        self._hear(Heard(row, token))

    def append(self, tokens: list[int], open_rows: list[int]) -> None:
        """The text goes on, and with it the thoughts that still serve."""
        self.plain.append(tokens)
        self._serving = [group for group in self._serving if group.go_on(tokens, open_rows)]
        self.step += 1

    def _think(self, open_rows: list[int], base_BV: Tensor) -> None:
        served = {row for group in self._serving for row in group.rows}
        hard = _hard(base_BV, self.thinker.habits)
        rows = [row for row in open_rows if hard[row] and row not in served]
        if not rows:
            return
        group = _Serving(self.thinker, self.plain, rows, [self.names[row] for row in rows], self._spoil)
        self._serving.append(group)
        for row, ids in zip(rows, _inner(group.thoughts), strict=True):
            after = len(self.said[row].ids)
            self.said[row].thoughts.append(HadThought(after, ids))
            self._hear(Heard(row, HadThought(after, ids)))


class _Plain:
    """The rows as the model reads them without thoughts, padded on the left, with its own cache."""

    def __init__(self, model: Any, prompts: list[list[int]], pad: int) -> None:
        width = max(map(len, prompts))
        real = [[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]
        filled = [[pad] * (width - len(ids)) + ids for ids in prompts]
        self.model = model
        self.ids_BT, self.mask_BT = (torch.tensor(rows, device=model.device) for rows in (filled, real))
        self._cache: Any = None
        self._read = 0  # columns

    def forward(self) -> tuple[Tensor, Tensor]:
        """The last column's state [B, D] and logits [B, V], as `generate` of transformers comes to them."""
        position_BT = positions(self.ids_BT, self.mask_BT).clamp_min(0)
        inputs = {
            "input_ids": self.ids_BT[:, self._read :], "attention_mask": self.mask_BT,
            "position_ids": position_BT[:, self._read :], "past_key_values": self._cache, "use_cache": True,
        }  # fmt: skip
        hidden_B1D, logits_B1V, self._cache = _last(self.model, inputs)
        self._read = self.ids_BT.shape[1]
        return hidden_B1D[:, 0], logits_B1V[:, 0]

    def append(self, tokens: list[int]) -> None:
        new_B1 = torch.tensor(tokens, device=self.ids_BT.device)[:, None]
        self.ids_BT = torch.cat((self.ids_BT, new_B1), 1)
        self.mask_BT = torch.cat((self.mask_BT, torch.ones_like(new_B1)), 1)

    def of(self, rows: list[int]) -> tuple[Tensor, Tensor | None]:
        """Their ids and mask, without the columns that none of them needs."""
        ids_RT, mask_RT = self.ids_BT[rows], self.mask_BT[rows]
        needed_T = mask_RT.any(0)
        ids_RT, mask_RT = ids_RT[:, needed_T], mask_RT[:, needed_T]
        return ids_RT, None if bool(mask_RT.all()) else mask_RT


def _last(model: Any, inputs: dict[str, Any]) -> tuple[Tensor, Tensor, Any]:
    from agentforge.models import TitanForCausalLM

    if isinstance(model, TitanForCausalLM):
        out: Any = model(**inputs, logits_to_keep=1)
        return out.last_hidden_state[:, -1:], out.logits, out.past_key_values
    out = model.base_model(**inputs)
    hidden_B1D = out.last_hidden_state[:, -1:]
    return hidden_B1D, model.get_output_embeddings()(hidden_B1D), out.past_key_values


class _Serving:
    """Thoughts that rows had at one step; they end together, `ahead` tokens later."""

    def __init__(
        self, thinker: Thinker, plain: _Plain, rows: list[int], names: list[int], spoil: Spoil | None
    ) -> None:
        habits, self.head, self.rows = thinker.habits, thinker.head, rows
        self.text = read(thinker.model, *plain.of(rows))
        last_R1 = torch.full((len(rows), 1), self.text.hidden_BTD.shape[1] - 1, device=plain.ids_BT.device)
        draws = Draws(habits.seed, rows=names)
        self.thoughts, told = generate(self.text, last_R1, thinker.marks, habits.sampling, draws)
        if spoil is not None:
            self.thoughts = spoil(self.thoughts)
            told = retell(self.text, self.thoughts)
        self._branches, self._hidden_RND = told.branches, told.end_BPND[:, 0]
        self._left = habits.ahead

    def predict(self, hidden_BD: Tensor, base_BV: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [R, V], and alpha, mean over the thoughts [R]."""
        base_R1V = base_BV[self.rows][:, None]
        alpha_RN1 = self.head(hidden_BD[self.rows][:, None], self._hidden_RND)
        logits_RNV = mix(alpha_RN1, base_R1V, self.text.head(self._hidden_RND))
        kept_R1N = torch.ones_like(alpha_RN1[:, None, :, 0], dtype=torch.bool)
        log_R11V = mean_prediction(logits_RNV[:, None, :, None], base_R1V[:, None], kept_R1N)
        return log_R11V[:, 0, 0], alpha_RN1.mean((1, 2))

    def go_on(self, tokens: list[int], open_rows: list[int]) -> bool:
        """Continue each thought with the token that its row chose; False where it serves no more."""
        self._left -= 1
        if not self._left:
            return False
        thoughts, device = self._hidden_RND.shape[1], self._hidden_RND.device
        token_RN1 = torch.tensor([[[tokens[row]]] * thoughts for row in self.rows], device=device)
        live_RN1 = torch.tensor([[[row in open_rows]] * thoughts for row in self.rows], device=device)
        self._hidden_RND = self._branches.step(self.text.embed(token_RN1), live_RN1)[:, :, 0]
        return True


def _hard(base_BV: Tensor, habits: Habits) -> list[bool]:
    if habits.threshold is None:
        return [False] * len(base_BV)
    found: list[bool] = (entropy(base_BV) / math.log(base_BV.shape[-1]) >= habits.threshold).tolist()
    return found


def _inner(thoughts: Thoughts) -> list[list[list[int]]]:
    """Tokens between the marks, of each row's one place and its N thoughts."""
    ids_RNL, live_RNL = thoughts.ids_BPNL[:, 0], thoughts.live_BPNL[:, 0]
    return [
        [ids_L[live_L][1:-1].tolist() for ids_L, live_L in zip(ids_NL, live_NL, strict=True)]
        for ids_NL, live_NL in zip(ids_RNL, live_RNL, strict=True)
    ]


def _chosen(log_BV: Tensor, temperature: float, seed: int, names: Sequence[int], step: int) -> list[int]:
    if not temperature:
        found: list[int] = log_BV.argmax(-1).tolist()
        return found
    probability_BV = (log_BV.double() / temperature).softmax(-1).cpu()
    return [
        int(torch.multinomial(each_V, 1, generator=Rng(seed, "thoughts/speak", name, step).torch()))
        for each_V, name in zip(probability_BV, names, strict=True)
    ]
