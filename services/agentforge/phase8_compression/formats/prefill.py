"""Greedy answers by a program that reads the whole text for each new token: no state, and no cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.phase8_compression.formats.exporting import Window, check_room
from agentforge.train.evaluate import ROOM, alike

Forward = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def answered(forward: Forward, room: Window, codec: Codec, items: Sequence[Item], *, batch: int) -> list[str]:
    """`forward`: ids and mask [B, T] to logits [B, T, V]; of as many tokens as `room` says."""
    prompts = [codec.prompt_ids(item.prefix + item.prompt) for item in items]
    rooms = [len(codec.ids(item.completion)) + ROOM for item in items]
    said = [""] * len(items)
    for places in alike([len(prompt) for prompt in prompts], batch):
        texts = [list(prompts[place]) for place in places]
        found = _greedy(forward, room, codec, texts, [rooms[place] for place in places])
        for place, ids in zip(places, found, strict=True):
            said[place] = codec.text(ids)
    return said


def _greedy(
    forward: Forward, room: Window, codec: Codec, texts: list[list[int]], rooms: list[int]
) -> list[list[int]]:
    """New tokens of each row, up to and without the end."""
    found: list[list[int]] = [[] for _ in texts]
    going = list(range(len(texts)))
    while going:
        token_G = _next(forward, room, codec.pad, [texts[row] for row in going])
        goes_on = []
        for row, token in zip(going, token_G, strict=True):
            if token == codec.eos:
                continue
            found[row].append(token)
            texts[row].append(token)
            if len(found[row]) < rooms[row]:
                goes_on.append(row)
        going = goes_on
    return found


def _next(forward: Forward, room: Window, pad: int, texts: list[list[int]]) -> list[int]:
    """Padding stands right, where causality hides it."""
    longest = max(map(len, texts))
    check_room(longest, room)
    width = max(longest, room.least)
    ids_BT = torch.tensor([text + [pad] * (width - len(text)) for text in texts])
    mask_BT = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts])
    logits_BTV = forward(ids_BT, mask_BT)
    last = torch.tensor([len(row) - 1 for row in texts])
    token_B: list[int] = logits_BTV[torch.arange(len(texts)), last].argmax(-1).tolist()
    return token_B
