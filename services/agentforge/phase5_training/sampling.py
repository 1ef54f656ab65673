"""What the model of now says, by dice, in the middle of its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.rows import IGNORED, Row
from agentforge.models.ternary.linear import frozen
from agentforge.train.evaluate import ROOM, alike, padded


@torch.no_grad()
def answers(
    model: Any, codec: Codec, items: Sequence[Item], temperature: float, seed: int, batch: int
) -> list[list[int]]:
    """What the model says after each prompt, its end included; drawn with dice of their own."""
    prompts = [codec.prompt_ids(item.prefix + item.prompt) for item in items]
    rooms = [len(codec.ids(item.completion)) + ROOM for item in items]
    said: list[list[int]] = [[] for _ in items]
    was_training = model.training
    model.eval()
    with frozen(model), torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for places in alike([len(prompt) for prompt in prompts], batch):
            ids_BT, mask_BT = padded([prompts[place] for place in places], codec.pad, model.device, left=True)
            out_BT = model.generate(
                input_ids=ids_BT, attention_mask=mask_BT, max_new_tokens=max(rooms[place] for place in places),
                do_sample=True, temperature=temperature, top_k=0, top_p=1.0, eos_token_id=codec.eos,
                pad_token_id=codec.pad,
            )  # fmt: skip
            for place, row in zip(places, out_BT[:, ids_BT.shape[1] :].tolist(), strict=True):
                end = row.index(codec.eos) + 1 if codec.eos in row else len(row)
                said[place] = row[: min(end, rooms[place])]
    model.train(was_training)
    return said


def said_row(ids: Sequence[int], said: int) -> Row:
    """A row that learns what the model said: the last `said` ids."""
    row_ids = np.array(ids, np.int64)
    labels = row_ids.copy()
    labels[: len(ids) - said] = IGNORED
    return Row(row_ids, labels)


def answerable(item: Item) -> bool:
    """By the model alone: no tool's result is wanted."""
    return all(said for _, said in item.segments()[1:])
