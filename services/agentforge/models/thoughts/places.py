"""Where in a text thoughts are had: columns of each row [B, P], ascending, filled up with -1."""

from __future__ import annotations

import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput


def all_places(mask_BT: Tensor, ahead: int) -> Tensor:
    """Every token that has another after it to predict. The last `ahead` - 1 of them look less far ahead."""
    real_BT = mask_BT.bool()
    if int(real_BT.sum(1).max()) < 2:
        step = "Take longer rows."
        raise InvalidInput(
            "no row has a token to predict", reason="TEXT_TOO_SHORT", field="input_ids", next_step=step
        )
    if ahead < 1:
        raise InvalidInput(f"ahead is {ahead}; at least one token must be predicted", field="ahead")
    last_B1 = (real_BT.long() * torch.arange(mask_BT.shape[1], device=mask_BT.device)).amax(1, keepdim=True)
    columns_BT = torch.arange(mask_BT.shape[1], device=mask_BT.device).expand_as(mask_BT)
    return gathered(real_BT & (columns_BT < last_B1))


def gathered(chosen_BT: Tensor) -> Tensor:
    """The columns that are chosen in each row."""
    width = int(chosen_BT.sum(1).max())
    order_BT = (~chosen_BT).long().argsort(dim=1, stable=True)[:, :width]
    return order_BT.masked_fill(~chosen_BT.gather(1, order_BT), -1)


def targets(ids_BT: Tensor, mask_BT: Tensor, places_BP: Tensor, ahead: int) -> tuple[Tensor, Tensor]:
    """The `ahead` tokens after each place [B, P, A], and which of them there are."""
    batch, length = ids_BT.shape
    column_BPA = places_BP[..., None] + 1 + torch.arange(ahead, device=ids_BT.device)
    there_BPA = (places_BP[..., None] >= 0) & (column_BPA < length)
    flat_BX = column_BPA.clamp(0, length - 1).flatten(1)
    there_BPA = there_BPA & mask_BT.bool().gather(1, flat_BX).view(column_BPA.shape)
    return ids_BT.gather(1, flat_BX).view(batch, -1, ahead), there_BPA
