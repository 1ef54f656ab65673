"""Thoughts of Titan: the model's own layers over thought tokens, with an attention that keeps thoughts apart.

Every pass and layer has its keys, as in the text. A thought reads those entries of the long-term memory that its
place in the text reads, faded on to where it stands, and writes nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.models.memory_titan import LongTermMemory, MemoryView, TitanCache
from agentforge.models.modeling_titan import Run, TitanForCausalLM, normalise
from agentforge.models.thoughts.mask import Own, own_mask, text_mask
from agentforge.models.thoughts.text import columns, positions


class TitanText:
    context: int | None = None

    def __init__(self, model: TitanForCausalLM, ids_BT: Tensor, mask_BT: Tensor | None) -> None:
        self.model = model
        x_BTD = model.embed_tokens(ids_BT)
        self.aligned_BT, source_BT, column_BT = model._align(x_BTD, mask_BT, None)  # padding comes last
        if source_BT is not None:
            x_BTD = x_BTD.gather(1, source_BT[:, :, None].expand_as(x_BTD))
        self._x_BTD = normalise(x_BTD)
        cache = TitanCache()  # never advanced: thoughts may hang on any token, so nothing leaves the window
        self.run = model._run(x_BTD, self.aligned_BT, cache)
        self.hidden_BTD = model._halt(model._think(self._x_BTD, self.run), self.aligned_BT)[0]
        self.state = cache.state
        # Put together here, in the caller's gradient mode: thoughts drawn without gradients must not settle it.
        self.keys = [
            self._with_persistent(index, self.state[f"window.{index}.key"], self.state[f"window.{index}.value"])
            for index in range(self.run.passes * len(model.layers))
        ]
        self.position_BT = positions(ids_BT, mask_BT)
        self.column_BT = column_BT
        if column_BT is not None:
            self.hidden_BTD = self._in_columns(self.hidden_BTD)

    def embed(self, ids: Tensor) -> Tensor:
        return cast("Tensor", self.model.embed_tokens(ids))

    def head(self, hidden: Tensor) -> Tensor:
        return cast("Tensor", self.model.lm_head(hidden))

    def branches(self, places_BP: Tensor, thoughts: int, *, blind: bool = False) -> TitanBranches:
        return TitanBranches(self, columns(places_BP, self.position_BT), thoughts, blind)

    def _with_persistent(self, index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        if not self.run.persistent:
            return key, value
        learned_key, learned_value = self.run.persistent[index % len(self.model.layers)]
        shape = (len(key), -1, -1, -1)
        return torch.cat((learned_key.expand(shape), key), 2), torch.cat((learned_value.expand(shape), value), 2)

    def _in_columns(self, x_BTD: Tensor) -> Tensor:
        return x_BTD if self.column_BT is None else x_BTD.gather(1, self.column_BT[:, :, None].expand_as(x_BTD))

    @torch.no_grad()
    def dispersion(self) -> Tensor:
        length = self.aligned_BT.shape[1]
        mask = self.model._mask(self.aligned_BT, None)
        if mask is None:
            mask = torch.ones(length, length, dtype=torch.bool, device=self.aligned_BT.device).tril()[None, None]
        largest_B1T = mask.sum(-1).clamp_min(2).log()
        found: list[Tensor] = []

        def attend(index: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            key, value = self._with_persistent(index, key, value)
            score = (query @ key.transpose(2, 3) * query.shape[3] ** -0.5).masked_fill(~mask, -math.inf)
            weight: Tensor = score.softmax(-1)
            found.append((-torch.xlogy(weight, weight).sum(-1) / largest_B1T).mean(1))
            return weight @ value

        self.model._think(self._x_BTD, replace(self.run, passes=0, cache=None, attend=attend))
        return self._in_columns(torch.stack(found).mean(0)[..., None])[..., 0]


class _Reading(NamedTuple):
    """What the thoughts of a text read from one layer's memory."""

    key_BHSK: Tensor
    value_BHSK: Tensor
    bias_B1MS: Tensor  # as at the thought's place
    written_S: Tensor  # 1.0 where entries fade, 0.0 for learned slots


class TitanBranches:
    def __init__(self, text: TitanText, column_BP: Tensor, thoughts: int, blind: bool) -> None:
        self.text, self.blind = text, blind
        aligned_BP = column_BP if text.column_BT is None else text.column_BT.gather(1, column_BP)
        self.at_BM = aligned_BP.repeat_interleave(thoughts, 1)
        self.own = Own(text.aligned_BT.gather(1, self.at_BM))
        self.stored: dict[int, tuple[_Growing, _Growing]] = {}  # keys and values by pass and layer
        self.reading = {layer: self._reading(layer, views) for layer, views in text.run.views.items()}

    def _reading(self, layer: int, views: list[MemoryView]) -> _Reading:
        """One view of all stretches of the text: a thought sees the entries of its own stretch's view only."""
        memory = cast("LongTermMemory", self.text.model.layers[layer].memory)
        learned, start, biases, written = memory.initial.shape[1], 0, [], []
        for view in views:
            length, entries = view.bias.shape[2:]
            inside_BM = (self.at_BM >= start) & (self.at_BM < start + length)
            row_BM = (self.at_BM - start).clamp(0, length - 1)
            bias_BMS = view.bias[:, 0].gather(1, row_BM[:, :, None].expand(-1, -1, entries))
            old_S = torch.arange(entries, device=row_BM.device) >= learned
            hidden_BMS = ~inside_BM[..., None] | (old_S & self.blind)
            biases.append(bias_BMS.masked_fill(hidden_BMS, -math.inf))
            written.append(old_S)
            start += length
        key_BHSK = torch.cat([view.key for view in views], 2)
        value_BHSK = torch.cat([view.value for view in views], 2)
        bias_BMS = torch.cat(biases, 2)
        return _Reading(key_BHSK, value_BHSK, bias_BMS[:, None], torch.cat(written).to(bias_BMS.dtype))

    def step(self, x_BMLD: Tensor, live_BML: Tensor) -> Tensor:
        model, text, length = self.text.model, self.text, live_BML.shape[2]
        position_BML = self.own.add(live_BML)
        position_BQ = position_BML.flatten(1)
        limit_BQ = self.own.limit_BM.repeat_interleave(length, 1)
        window = model.config.sliding_window
        seen_BQS = text_mask(
            text.aligned_BT, position_BQ, torch.full_like(limit_BQ, -1) if self.blind else limit_BQ, window
        )
        seen_BQS = F.pad(seen_BQS, (model.config.persistent_tokens, 0), value=True)
        own_BMLJ = own_mask(self.own.position_BMJ, self.own.live_BMJ, position_BML, window)
        hidden_BQS = ~torch.cat((seen_BQS, own_BMLJ.flatten(1, 2)), 2)
        bias_B1QS = x_BMLD.new_zeros(hidden_BQS.shape).masked_fill(hidden_BQS, -math.inf)[:, None]
        age_BQ = position_BQ - limit_BQ
        x_BQD = normalise(x_BMLD).flatten(1, 2)
        run = Run(
            position_BQ, *model._rotary(position_BQ, x_BQD.dtype), None, None, model.strength, text.run.persistent,
            views={layer: [self._view(reading, age_BQ)] for layer, reading in self.reading.items()},
            attend=partial(self._attend, bias_B1QS),
        )  # fmt: skip
        hidden_BQD = model._halt(model._think(x_BQD, run), position_BQ)[0]
        return hidden_BQD.reshape(*live_BML.shape, -1)

    def _view(self, reading: _Reading, age_BQ: Tensor) -> MemoryView:
        assert self.text.model.strength is not None
        faded = age_BQ[:, None, :, None] * reading.written_S * self.text.model.strength.log_decay()
        bias_B1QS = reading.bias_B1MS.repeat_interleave(age_BQ.shape[1] // self.at_BM.shape[1], 2) + faded
        return MemoryView(reading.key_BHSK, reading.value_BHSK, bias_B1QS)

    def _attend(self, bias_B1QS: Tensor, index: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Text keys are shared by all thoughts; a thought's own are met by itself alone, which is the diagonal."""
        text_key, text_value = self.text.keys[index]
        query = query * query.shape[3] ** -0.5
        query_BHMLK, key_BHMLK, value_BHMLK = (
            torch.unflatten(tensor, 2, (self.at_BM.shape[1], -1)) for tensor in (query, key, value)
        )
        keys, values = self.stored.setdefault(index, (_Growing(), _Growing()))
        key_BHMJK, value_BHMJK = keys.add(key_BHMLK), values.add(value_BHMLK)
        diagonal_BHQJ = (query_BHMLK @ key_BHMJK.transpose(3, 4)).flatten(2, 3)
        score = torch.cat((query @ text_key.transpose(2, 3), diagonal_BHQJ), 3)
        weight_BHQS = (score + bias_B1QS).softmax(-1)
        shared, own = torch.split(weight_BHQS, [text_key.shape[2], diagonal_BHQJ.shape[3]], 3)
        own_BHMLK = torch.unflatten(own, 2, query_BHMLK.shape[2:4]) @ value_BHMJK
        mixed: Tensor = shared @ text_value + own_BHMLK.flatten(2, 3)
        return mixed


class _Growing:
    """Keys or values of thoughts (B, H, M, J, K). There is room for more, so that a step copies its own alone."""

    def __init__(self) -> None:
        self._room: Tensor | None = None
        self._length = 0

    def add(self, new_BHMLK: Tensor) -> Tensor:
        before, self._length = self._length, self._length + new_BHMLK.shape[3]
        if torch.is_grad_enabled():  # what a gradient passes through must not be written into later
            old = new_BHMLK[:, :, :, :0] if self._room is None else self._room[:, :, :, :before]
            self._room = torch.cat((old, new_BHMLK), 3)
            return self._room
        if self._room is None or self._room.shape[3] < self._length:
            batch, heads, thoughts, _, size = new_BHMLK.shape
            room = new_BHMLK.new_empty(batch, heads, thoughts, 2 * self._length, size)
            if self._room is not None:
                room[:, :, :, :before] = self._room[:, :, :, :before]
            self._room = room
        self._room[:, :, :, before : self._length] = new_BHMLK
        return self._room[:, :, :, : self._length]
