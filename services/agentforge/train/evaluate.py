"""Numbers about a model: its greedy answers to held-out items, and its loss on held-out text and items."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.rows import IGNORED
from agentforge.data.scoring import accuracy, bits_per_byte
from agentforge.kit.measure import Measurement
from agentforge.models.thoughts.speak import speak
from agentforge.models.thoughts.thinker import Thinker

ROOM = 4  # tokens beyond the right answer, so that one that goes on too long is seen to
_LARGEST_EXPONENT = 700


@torch.no_grad()
def answers(model: nn.Module, codec: Codec, items: Sequence[Item], *, batch: int = 256) -> list[str]:
    """What the model says, greedily, after each prompt; special tokens kept."""
    prompts = [codec.prompt_ids(item.prefix + item.prompt) for item in items]
    rooms = [len(codec.ids(item.completion)) + ROOM for item in items]
    said = [""] * len(items)
    for places in alike([len(prompt) for prompt in prompts], batch):
        ids = _generated(model, codec, [prompts[place] for place in places], max(rooms[place] for place in places))
        for place, each in zip(places, ids, strict=True):
            said[place] = codec.text(each[: rooms[place]])  # its own room, whoever is beside it
    return said


def thoughtful_answers(thinker: Thinker, codec: Codec, items: Sequence[Item], *, batch: int = 64) -> list[str]:
    """The same by a model that thinks as its habits say; an item's thoughts do not depend on its company."""
    prompts = [codec.prompt_ids(item.prefix + item.prompt) for item in items]
    rooms = [len(codec.ids(item.completion)) + ROOM for item in items]
    said = [""] * len(items)
    for places in alike([len(prompt) for prompt in prompts], batch):
        spoken = speak(
            thinker, [prompts[place] for place in places], [rooms[place] for place in places],
            eos=codec.eos, pad=codec.pad, rows=places,
        )  # fmt: skip
        for place, each in zip(places, spoken, strict=True):
            said[place] = codec.text(each.ids)
    return said


def answer_accuracy(
    model: nn.Module, codec: Codec, items: Sequence[Item], *, prefix: str, by_difficulty: bool = False
) -> list[Measurement]:
    """Exact accuracy per family of greedy answers."""
    return accuracy(items, answers(model, codec, items), prefix=prefix, by_difficulty=by_difficulty)


def item_loss(model: nn.Module, codec: Codec, items: Sequence[Item], *, name: str, batch: int = 256) -> Measurement:
    """Mean loss in nats per token that the model is to say."""
    nats, count = answer_nats(model, codec, items, batch=batch)
    return mean_loss(nats, count, len(items), name=name)


def mean_loss(nats: float, count: int, items: int, *, name: str) -> Measurement:
    return Measurement(name, nats / count, "nat", f"mean over {count:,} answer tokens of {items:,} items", items)


@torch.no_grad()
def answer_nats(model: nn.Module, codec: Codec, items: Sequence[Item], *, batch: int = 256) -> tuple[float, int]:
    """The summed loss of all tokens that the model is to say, and how many they are."""
    encoded = [codec.item_ids(item) for item in items]
    nats, count = 0.0, 0
    for places in alike([len(ids) for ids, _ in encoded], batch):
        ids_BT, mask_BT = padded([encoded[place][0] for place in places], codec.pad, _device(model))
        learned_BT, _ = padded([[int(each) for each in encoded[place][1]] for place in places], 0, _device(model))
        labels_BT = ids_BT.masked_fill((learned_BT * mask_BT) == 0, IGNORED)
        nats += float(_token_nats(model, ids_BT, mask_BT, labels_BT).sum())
        count += int((labels_BT[:, 1:] != IGNORED).sum())
    return nats, count


@torch.no_grad()
def text_bits(
    model: nn.Module, codec: Codec, texts: Sequence[str], *, name: str, length: int, batch: int = 32
) -> Measurement:
    """Bits per byte of texts, cut into rows of `length`; the first token of a row is context and not counted."""
    rows = [row for text in texts for row in cut([*codec.document_ids(text), codec.eos], length)]
    size_V = torch.from_numpy(np.asarray(codec.token_bytes()))
    nats, size = 0.0, 0
    for places in alike([len(row) for row in rows], batch):
        ids_BT, mask_BT = padded([rows[place] for place in places], codec.pad, _device(model))
        labels_BT = ids_BT.masked_fill(mask_BT == 0, IGNORED)
        bytes_BT = size_V.to(ids_BT.device)[ids_BT[:, 1:]] * mask_BT[:, 1:]
        # A token without bytes (the end of a text) belongs to no byte, so its loss does not count either.
        nats += float((_token_nats(model, ids_BT, mask_BT, labels_BT) * (bytes_BT > 0)).sum())
        size += int(bytes_BT.sum())
    method = f"{size:,} bytes of held-out text in rows of {length} tokens, the first of each given"
    return bits_per_byte(nats, size, name=name, method=method, n=len(texts))


def perplexity(loss: Measurement, name: str) -> list[Measurement]:
    """Per token of one tokenizer: never compare it across vocabularies. None where it is too large for a number."""
    if loss.value > _LARGEST_EXPONENT:
        return []
    return [Measurement(name, math.exp(loss.value), "1", f"exponential of the loss, {loss.method}", loss.n)]


def _token_nats(model: nn.Module, ids_BT: Tensor, mask_BT: Tensor, labels_BT: Tensor) -> Tensor:
    """Loss of each token but the first, [B, T - 1], 0 where ignored; float64, so that long sums stay exact."""
    logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT).logits
    nats = F.cross_entropy(
        logits_BTV[:, :-1].flatten(0, 1).float(), labels_BT[:, 1:].flatten(), ignore_index=IGNORED, reduction="none"
    )
    return nats.view(len(ids_BT), -1).double()


def _generated(model: nn.Module, codec: Codec, prompts: list[list[int]], room: int) -> list[list[int]]:
    """New tokens of each row, up to and without the end."""
    ids_BT, mask_BT = padded(prompts, codec.pad, _device(model), left=True)
    out_BT = model.generate(  # type: ignore[operator]
        input_ids=ids_BT,
        attention_mask=mask_BT,
        max_new_tokens=room,
        do_sample=False,
        eos_token_id=codec.eos,
        pad_token_id=codec.pad,
    )
    new = out_BT[:, ids_BT.shape[1] :].tolist()
    return [row[: row.index(codec.eos)] if codec.eos in row else row for row in new]


def padded(rows: list[list[int]], pad: int, device: torch.device, *, left: bool = False) -> tuple[Tensor, Tensor]:
    """(ids, mask), both [B, T]."""
    width = max(map(len, rows))
    ids = [[pad] * (width - len(row)) + row if left else row + [pad] * (width - len(row)) for row in rows]
    mask = [
        [0] * (width - len(row)) + [1] * len(row) if left else [1] * len(row) + [0] * (width - len(row))
        for row in rows
    ]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def alike(lengths: list[int], batch: int) -> Iterator[list[int]]:
    """Places in batches of similar length, so that little is padded."""
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


def cut(ids: list[int], length: int) -> Iterator[list[int]]:
    """Rows that overlap by one token, so that every token but the text's first is predicted once."""
    for start in range(0, len(ids) - 1, length - 1):
        yield ids[start : start + length]


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
