"""Titan's state: the long-term memory, and the cache that carries it and the attention window between calls.

Shapes: B batch, T new tokens, S stored entries, D hidden size, H heads, K head size, I learned memory slots.
docs/model.md tells how the mechanisms fit together.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Cache

from .configuration_titan import TitanConfig


class MemoryState(NamedTuple):
    """One layer's long-term memory: what was written, how strongly, when, and the running surprise."""

    key: Tensor  # (B, S, D)
    value: Tensor  # (B, S, D)
    score: Tensor  # (B, S), log strength when written
    rank: Tensor  # (B, S), who stays: the highest
    position: Tensor  # (B, S), of the token that wrote it; -1: nothing was written
    momentum: Tensor  # (B,)


class MemoryView(NamedTuple):
    """What one stretch of tokens reads: the entries and, for each token, their log strength by now."""

    key: Tensor  # (B, H, I + S, K)
    value: Tensor  # (B, H, I + S, K)
    bias: Tensor  # (B, 1, T, I + S)


class TitanCache(Cache):
    """All state between calls in one flat dictionary of tensors, the batch always first.

    `length` (B): real tokens seen. `position` (B, S): of the window's entries, -1 where padding.
    `window.V.key`, `window.V.value` (B, H, S, K): V counts layers through all passes (pass * layers + layer).
    `memory.L.key` and so on: the fields of MemoryState for layer L.
    """

    def __init__(self, state: dict[str, Tensor] | None = None, columns: int = 0) -> None:
        super().__init__(layers=[])
        self.state = {} if state is None else state
        self.columns = columns  # tokens given so far, padding included
        self.persistent: list[tuple[Tensor, Tensor]] = []  # not state: made from weights alone, once

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.columns

    def reorder_cache(self, beam_idx: Tensor) -> None:
        self.state = {name: tensor[beam_idx] for name, tensor in self.state.items()}

    def window(self, index: int, key_BHTK: Tensor, value_BHTK: Tensor) -> tuple[Tensor, Tensor]:
        """Append to the keys and values of one layer in one pass, and return them all."""
        pair = (f"window.{index}.key", key_BHTK), (f"window.{index}.value", value_BHTK)
        for name, new in pair:
            self.state[name] = torch.cat((self.state[name], new), 2) if name in self.state else new
        return self.state[pair[0][0]], self.state[pair[1][0]]

    def memory(self, layer: int) -> MemoryState | None:
        if f"memory.{layer}.key" not in self.state:
            return None
        return MemoryState(*(self.state[f"memory.{layer}.{name}"] for name in MemoryState._fields))

    def remember(self, layer: int, memory: MemoryState) -> None:
        self.state |= {f"memory.{layer}.{name}": tensor for name, tensor in memory._asdict().items()}

    def advance(self, position_BT: Tensor, columns: int, sliding_window: int | None) -> None:
        """Count the tokens just seen, and drop what has left the window, a whole window at a time."""
        self.columns += columns
        seen_B = (position_BT >= 0).sum(1)
        self.state["length"] = self.state["length"] + seen_B if "length" in self.state else seen_B
        past_BS = self.state.get("position", position_BT[:, :0])
        position_BS = torch.cat((past_BS, position_BT), 1)
        self.state["position"] = position_BS
        if sliding_window is None or position_BS.shape[1] < 2 * sliding_window:
            return
        keep_BS = position_BS.topk(sliding_window, 1).indices
        self.state["position"] = position_BS.gather(1, keep_BS)
        for name, stored_BHSK in self.state.items():
            if name.startswith("window."):
                keep = keep_BS[:, None, :, None].expand(-1, stored_BHSK.shape[1], -1, stored_BHSK.shape[3])
                self.state[name] = stored_BHSK.gather(2, keep)


def split_heads(x_BTD: Tensor, heads: int) -> Tensor:
    return x_BTD.view(*x_BTD.shape[:2], heads, -1).transpose(1, 2)


def momentum_scan(keep_BT: Tensor, input_BT: Tensor, start_B: Tensor) -> Tensor:
    """s[t] = keep[t] * s[t-1] + input[t] for all t, by doubling how far back each s[t] reaches."""
    carried_BT = torch.cat((input_BT[:, :1] + keep_BT[:, :1] * start_B[:, None], input_BT[:, 1:]), 1)
    reach = 1
    while reach < keep_BT.shape[1]:
        carried_BT = carried_BT + keep_BT * F.pad(carried_BT[:, :-reach], (reach, 0))
        keep_BT = keep_BT * F.pad(keep_BT[:, :-reach], (reach, 0))
        reach *= 2
    return carried_BT


class MemoryStrength(nn.Module):
    """How strongly an entry is written, and how fast it fades: one for all layers.

    Strength is learned from what is read, so the learned part has no say in who stays. A forgotten fact has no
    gradient, and the gradient of a question about it weakens the facts that were read in its stead: if that cost
    them their slots too, one lost fact would take the others with it.
    """

    def __init__(self, config: TitanConfig) -> None:
        super().__init__()
        self.learned = nn.Sequential(nn.Linear(2, 25), nn.SiLU(), nn.Linear(25, 1))
        self.decay = nn.Parameter(torch.empty(1)) if config.memory_decay else None

    def log_decay(self) -> Tensor | float:
        """Log of the factor by which each token that passes weakens an entry."""
        return 0.0 if self.decay is None else F.logsigmoid(self.decay)

    def forward(self, surprise_BT: Tensor, novelty_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Log strength, and its share that says who stays."""
        learned_BT = self.learned(torch.stack((surprise_BT, novelty_BT), -1))[..., 0]
        rank_BT = (surprise_BT * novelty_BT.clamp_min(0) + 0.05).log()
        return rank_BT + learned_BT, rank_BT.detach()


class LongTermMemory(nn.Module):
    """Slots that tokens write into with a strength of surprise x novelty and read by cross-attention.

    A token reads what was written before its chunk, so a chunk is computed at once. Which entries outlive the
    capacity depends only on an order fixed when they are written (decay is the same for all), so the survivors
    are the same whether tokens come together or one by one.
    """

    def __init__(self, config: TitanConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads, self.slots, self.chunk = config.num_attention_heads, config.memory_slots, config.memory_chunk
        self.keep_by, self.has_momentum = config.memory_write, config.memory_momentum
        self.q = nn.Linear(size, size, bias=False)
        self.kv = nn.Linear(size, 2 * size, bias=False)
        self.o = nn.Linear(size, size, bias=False)
        self.gates = nn.Linear(size, 2 + self.has_momentum)  # blend, write, momentum
        self.key_norm = nn.RMSNorm(size, config.rms_norm_eps)
        self.read_norm = nn.RMSNorm(size, config.rms_norm_eps)
        self.initial = nn.Parameter(torch.empty(2, config.memory_init_slots, size))

    def empty(self, h_BTD: Tensor) -> MemoryState:
        none_BSD = h_BTD[:, :0].detach()
        none_BS = none_BSD[:, :, 0]
        position_BS = torch.empty(h_BTD.shape[0], 0, dtype=torch.long, device=h_BTD.device)
        return MemoryState(none_BSD, none_BSD, none_BS, none_BS, position_BS, h_BTD.new_zeros(h_BTD.shape[0]))

    def write(
        self, h_BTD: Tensor, position_BT: Tensor, strength: MemoryStrength, state: MemoryState
    ) -> tuple[list[MemoryView], MemoryState]:
        """What each token may read, and the memory after all of them."""
        length = h_BTD.shape[1]
        at_once = length > self.chunk and state.key.shape[1] + length <= self.slots  # nothing can be forgotten
        size = length if at_once else self.chunk  # else chunk by chunk: `_align` starts every row on a boundary
        views = []
        for start in range(0, length, size):
            piece = slice(start, start + size)
            view, state = self._write_piece(h_BTD[:, piece], position_BT[:, piece], strength, state, at_once)
            views.append(view)
        return views, state

    def _write_piece(
        self, h_BTD: Tensor, position_BT: Tensor, strength: MemoryStrength, state: MemoryState, at_once: bool
    ) -> tuple[MemoryView, MemoryState]:
        key_BTD, value_BTD = self.kv(h_BTD).chunk(2, -1)
        key_BTD = self.key_norm(key_BTD)
        after = state._replace(
            key=torch.cat((state.key, key_BTD), 1),
            value=torch.cat((state.value, value_BTD), 1),
            position=torch.cat((state.position, position_BT), 1),
        )
        log_decay = strength.log_decay()
        source = after if at_once else state  # within one chunk nothing new is readable
        readable_BTS = self._readable(position_BT, source, log_decay)
        key_BHSK = self._heads(self.initial[0], source.key)
        value_BHSK = self._heads(self.initial[1], source.value)
        visible_B1TS = F.pad(readable_BTS, (self.initial.shape[1], 0), value=True)[:, None]
        surprise_BT, novelty_BT = self._judge(key_BTD, value_BTD, key_BHSK, value_BHSK, visible_B1TS)
        gate_BTG = self.gates(h_BTD).to(surprise_BT.dtype)
        surprise_BT = surprise_BT * gate_BTG[..., 1].sigmoid()
        surprise_BT, momentum_B = self._carry(gate_BTG[..., 2:], position_BT >= 0, surprise_BT, state.momentum)
        score_BT, rank_BT = strength(surprise_BT, novelty_BT)
        after = after._replace(
            score=torch.cat((state.score, score_BT), 1),
            rank=torch.cat((state.rank, rank_BT), 1),
            momentum=momentum_B,
        )
        score_BS = after.score[:, : readable_BTS.shape[2]]
        age_BTS = position_BT[:, :, None] - source.position[:, None]
        bias_BTS = (score_BS[:, None] + age_BTS * log_decay).masked_fill(~readable_BTS, -math.inf)
        bias_BTS = F.pad(bias_BTS, (self.initial.shape[1], 0))  # learned slots: full strength, never older
        return MemoryView(key_BHSK, value_BHSK, bias_BTS[:, None]), self._forget(after, log_decay)

    def _heads(self, initial_ID: Tensor, entries_BSD: Tensor) -> Tensor:
        all_BSD = torch.cat((initial_ID.expand(entries_BSD.shape[0], -1, -1), entries_BSD), 1)
        return split_heads(all_BSD, self.heads)

    def _readable(self, position_BT: Tensor, source: MemoryState, log_decay: Tensor | float) -> Tensor:
        """Entries of earlier chunks, and of those only as many as there are slots."""
        start_BT = position_BT.div(self.chunk, rounding_mode="floor") * self.chunk
        written_BS = source.position >= 0
        readable_BTS = written_BS[:, None] & (source.position[:, None] < start_BT[:, :, None])
        if source.key.shape[1] <= self.slots:
            return readable_BTS
        settled_BS = readable_BTS.any(1)  # all these tokens are in one chunk
        order_BS = self._order(source, log_decay).masked_fill(~settled_BS, -math.inf)
        kept_BS = torch.zeros_like(settled_BS).scatter(1, order_BS.topk(self.slots, 1).indices, True)
        return readable_BTS & kept_BS[:, None]

    def _order(self, state: MemoryState, log_decay: Tensor | float) -> Tensor:
        """Who stays: the highest. Fading by now differs from this in a term that is the same for all entries."""
        position_BS = state.position.to(state.key.dtype)
        if self.keep_by == "fifo":
            return position_BS
        if self.keep_by == "random":
            return (position_BS * 12.9898).sin().mul(43758.5453).frac().abs()
        return state.rank - position_BS * log_decay

    def _forget(self, state: MemoryState, log_decay: Tensor | float) -> MemoryState:
        """Drop what can never be read again, a chunk or more at a time."""
        if state.key.shape[1] < self.slots + 2 * self.chunk:
            return state
        latest_B1 = state.position.amax(1, keepdim=True)
        current_BS = state.position >= latest_B1.div(self.chunk, rounding_mode="floor") * self.chunk
        order_BS = self._order(state, log_decay).masked_fill(current_BS, math.inf)
        order_BS = order_BS.masked_fill(state.position < 0, -math.inf)
        keep_BS = order_BS.topk(self.slots + self.chunk, 1).indices
        keep_BSD = keep_BS[:, :, None].expand(-1, -1, state.key.shape[2])
        return MemoryState(
            state.key.gather(1, keep_BSD), state.value.gather(1, keep_BSD),
            state.score.gather(1, keep_BS), state.rank.gather(1, keep_BS),
            state.position.gather(1, keep_BS), state.momentum,
        )  # fmt: skip

    @torch.no_grad()
    def _judge(
        self, key_BTD: Tensor, value_BTD: Tensor, key_BHSK: Tensor, value_BHSK: Tensor, visible_B1TS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Surprise: how far the memory's recall at a token's key is from its value, in [0, 2].
        Novelty: one minus the highest cosine of its key with a stored key, in [0, 2]."""
        key_BHTK = split_heads(key_BTD, self.heads)
        dot_BHTS = key_BHTK @ key_BHSK.transpose(2, 3)
        weight_BHTS = (dot_BHTS / math.sqrt(key_BHTK.shape[3])).masked_fill(~visible_B1TS, -math.inf).softmax(-1)
        recalled_BTD = (weight_BHTS @ value_BHSK).transpose(1, 2).flatten(2)
        power_BT = value_BTD.square().sum(-1) + recalled_BTD.square().sum(-1)
        surprise_BT = (value_BTD - recalled_BTD).square().sum(-1) / power_BT.clamp_min(1e-12)
        stored_norm_B1S = key_BHSK.square().sum((1, 3)).sqrt()[:, None].clamp_min(1e-6)
        cosine_BTS = dot_BHTS.sum(1) / (key_BTD.norm(dim=-1, keepdim=True) * stored_norm_B1S)
        return surprise_BT, 1 - cosine_BTS.masked_fill(~visible_B1TS[:, 0], -math.inf).amax(-1)

    def _carry(
        self, gate_BT1: Tensor, real_BT: Tensor, surprise_BT: Tensor, start_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Surprise with what the gate lets earlier surprise leave of itself; padding changes nothing."""
        if not self.has_momentum:
            return surprise_BT, start_B
        keep_BT = gate_BT1[..., 0].sigmoid().masked_fill(~real_BT, 1.0)
        carried_BT = momentum_scan(keep_BT, surprise_BT * real_BT, start_B)
        return carried_BT, carried_BT[:, -1]

    def forward(self, h_BTD: Tensor, views: list[MemoryView]) -> tuple[Tensor, Tensor]:
        """What the tokens read, and how much of it to blend in (0 to 1)."""
        query_BHTK = split_heads(self.key_norm(self.q(h_BTD)), self.heads)
        pieces = torch.split(query_BHTK, [view.bias.shape[2] for view in views], 2)
        read_BHTK = torch.cat(
            [
                F.scaled_dot_product_attention(query, view.key, view.value, view.bias.to(query.dtype))
                for query, view in zip(pieces, views, strict=True)
            ],
            2,
        )
        read_BTD = self.o(self.read_norm(read_BHTK.transpose(1, 2).flatten(2)))
        return read_BTD, F.linear(h_BTD, self.gates.weight[:1], self.gates.bias[:1]).sigmoid()
