"""The loss on held-out rows of text and tokens that a user brought."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentforge.data.codec import Codec
from agentforge.data.rows import IGNORED
from agentforge.data.scoring import bits_per_byte
from agentforge.data.splits import Split
from agentforge.kit.measure import Measurement
from agentforge.phase5_training.sources import Given
from agentforge.train.evaluate import alike, padded


def given_losses(model: nn.Module, given: Given, split: Split, prefix: str, batch: int = 32) -> list[Measurement]:
    """Of text and of tokens, where there are some: nats per token, and bits per byte, which any tokenizer's are."""
    found = []
    for name, rows in sorted(given.held_out[split].items()):
        tokens, nats, byte_nats, byte_count = _summed(model, given.codec, rows, batch)
        method = f"{tokens:,} tokens of the {split} split, in rows of {given.data.row}, the first of each given"
        found.append(Measurement(f"{prefix}/{name}_loss", nats / tokens, "nat", method, len(rows)))
        if byte_count:  # a foreign tokenizer may not say what bytes its tokens stand for
            method = f"{byte_count:,} bytes of the same"
            name = f"{prefix}/{name}_bits_per_byte"
            found.append(bits_per_byte(byte_nats, byte_count, name=name, method=method, n=len(rows)))
    return found


@torch.no_grad()
def _summed(model: nn.Module, codec: Codec, rows: list[list[int]], batch: int) -> tuple[int, float, float, int]:
    """(tokens, nats), and (nats, bytes) of those tokens that stand for bytes."""
    device = next(model.parameters()).device
    size_V = torch.from_numpy(codec.token_bytes()).to(device)
    tokens, nats, byte_nats, byte_count = 0, 0.0, 0.0, 0
    for places in alike([len(row) for row in rows], batch):
        ids_BT, mask_BT = padded([rows[place] for place in places], codec.pad, device)
        nats_BT = _token_nats(model, ids_BT, mask_BT)
        bytes_BT = size_V[ids_BT[:, 1:]] * mask_BT[:, 1:]
        tokens += int(mask_BT[:, 1:].sum())
        nats += float(nats_BT.sum())
        byte_nats += float((nats_BT * (bytes_BT > 0)).sum())
        byte_count += int(bytes_BT.sum())
    return tokens, nats, byte_nats, byte_count


def _token_nats(model: nn.Module, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Of each token but the first, [B, T - 1]; 0 where there is none. float64, so that long sums stay exact."""
    logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT).logits
    labels_BT = ids_BT.masked_fill(mask_BT == 0, IGNORED)[:, 1:]
    nats_X = F.cross_entropy(
        logits_BTV[:, :-1].flatten(0, 1).float(), labels_BT.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return nats_X.view(len(ids_BT), -1).double()
