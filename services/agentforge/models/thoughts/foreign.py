"""Thoughts of any Hugging Face causal LM: positions, a four-dimensional mask, and a cache grown from the text's.

All thought tokens of a row are one sequence to the model. Whether it obeys mask and positions is not taken on
trust: `check_model` compares with the model's ordinary forward, and refuses.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from transformers import DynamicCache

from agentforge.kit.errors import InvalidInput
from agentforge.models.thoughts.mask import Own, diagonal_mask, own_mask, text_mask
from agentforge.models.thoughts.text import check_reach, columns, positions, read

TOLERANCE = 1e-3  # of the largest logit; a model that ignores mask or positions misses by its whole size


class ForeignText:
    def __init__(self, model: Any, ids_BT: Tensor, mask_BT: Tensor | None) -> None:
        self.model, self._ids_BT, self._mask_BT = model, ids_BT, mask_BT
        config = model.config.get_text_config()
        length = getattr(config, "max_position_embeddings", None)
        self.context: int | None = length if isinstance(length, int) and length > 0 else None
        self.window = _window(model, config)
        self.position_BT = positions(ids_BT, mask_BT)
        out = model.base_model(**self._inputs(), past_key_values=DynamicCache(), use_cache=True)
        self.hidden_BTD = cast("Tensor", out.last_hidden_state)
        self.cache: DynamicCache = out.past_key_values

    def _inputs(self) -> dict[str, Tensor | None]:
        place_BT = self.position_BT.clamp_min(0)
        return {"input_ids": self._ids_BT, "attention_mask": self._mask_BT, "position_ids": place_BT}

    def embed(self, ids: Tensor) -> Tensor:
        return cast("Tensor", self.model.get_input_embeddings()(ids))

    def head(self, hidden: Tensor) -> Tensor:
        return cast("Tensor", self.model.get_output_embeddings()(hidden))

    def branches(self, places_BP: Tensor, thoughts: int, *, blind: bool = False) -> ForeignBranches:
        return ForeignBranches(self, columns(places_BP, self.position_BT), thoughts, blind)

    @torch.no_grad()
    def dispersion(self) -> Tensor:
        usual = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")  # the only one that tells its weights
        try:
            inputs = self._inputs() | {"attention_mask": self._full_mask()}
            out = self.model.base_model(**inputs, output_attentions=True, use_cache=False)
        finally:
            self.model.set_attn_implementation(usual)
        seen_BT = self.position_BT + 1 if self.window is None else (self.position_BT + 1).clamp_max(self.window)
        largest_BT = seen_BT.clamp_min(2).log()
        entropies = [(-torch.xlogy(weight, weight).sum(-1)).mean(1) / largest_BT for weight in out.attentions]
        return torch.stack(entropies).mean(0)

    def _full_mask(self) -> Tensor:
        """Padding sees itself: some attention would make it, and then all else, NaN."""
        place_BT = self.position_BT
        itself_TT = torch.eye(place_BT.shape[1], dtype=torch.bool, device=place_BT.device)
        seen_BTT = text_mask(place_BT, place_BT, place_BT, self.window) | itself_TT
        return _additive(seen_BTT, self.hidden_BTD.dtype)


class ForeignBranches:
    def __init__(self, text: ForeignText, column_BP: Tensor, thoughts: int, blind: bool) -> None:
        self.text, self.blind = text, blind
        self.own = Own(text.position_BT.gather(1, column_BP.repeat_interleave(thoughts, 1)))
        self.cache = DynamicCache()
        for number, layer in enumerate(text.cache.layers):
            kept = cast("Any", layer)
            self.cache.update(kept.keys, kept.values, number)

    def step(self, x_BMLD: Tensor, live_BML: Tensor) -> Tensor:
        text, length = self.text, live_BML.shape[2]
        position_BML = self.own.add(live_BML)
        position_BQ = position_BML.flatten(1)
        check_reach(int(position_BQ.max()), text.context)
        limit_BQ = self.own.limit_BM.repeat_interleave(length, 1)
        limit_BQ = torch.full_like(limit_BQ, -1) if self.blind else limit_BQ
        own_BMLJ = own_mask(self.own.position_BMJ, self.own.live_BMJ, position_BML, text.window)
        shared_BQT = text_mask(text.position_BT, position_BQ, limit_BQ, text.window)
        seen_BQF = torch.cat((shared_BQT, diagonal_mask(own_BMLJ, self.own.steps)), 2)
        out = text.model.base_model(
            inputs_embeds=x_BMLD.flatten(1, 2), attention_mask=_additive(seen_BQF, x_BMLD.dtype),
            position_ids=position_BQ, past_key_values=self.cache, use_cache=True,
        )  # fmt: skip
        hidden_BQD = cast("Tensor", out.last_hidden_state)
        return hidden_BQD.reshape(*live_BML.shape, -1)


def _additive(seen_BQS: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask as every kind of attention takes it, [B, 1, Q, S]."""
    return torch.zeros_like(seen_BQS, dtype=dtype).masked_fill(~seen_BQS, torch.finfo(dtype).min)[:, None]


def _window(model: Any, config: Any) -> int | None:
    """Tokens that a token sees; None: all earlier ones."""
    kinds = set(getattr(config, "layer_types", None) or [])
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if not kinds:
        return window
    if len(kinds) > 1 or not kinds <= {"full_attention", "sliding_attention"}:
        raise _unsupported(model, f"its layers are of several kinds or not attention: {', '.join(sorted(kinds))}")
    return window if kinds == {"sliding_attention"} else None


@torch.no_grad()
def check_model(model: Any) -> None:
    """Refuse a model whose thoughts in parallel are not what it would say to text and thought in one row."""
    text_1T, thought_PL = torch.tensor([[3, 1, 4, 1, 5]]), torch.tensor([[2, 6], [7, 2]])
    text_1T, thought_PL = (
        ids.to(model.device) % model.config.get_text_config().vocab_size for ids in (text_1T, thought_PL)
    )
    places = (1, 3)
    try:
        text = read(model, text_1T)
        branches = text.branches(torch.tensor([places], device=model.device), 1)
        for column in range(2):
            x_1M1D = text.embed(thought_PL[:, column])[None, :, None]
            hidden_1M1D = branches.step(x_1M1D, torch.ones(1, 2, 1, dtype=torch.bool, device=model.device))
        found_MV = text.head(hidden_1M1D[0, :, 0])
        rows = [
            torch.cat((text_1T[0, : place + 1], ids))[None] for place, ids in zip(places, thought_PL, strict=True)
        ]
        wanted_MV = torch.cat([model(input_ids=row).logits[:, -1] for row in rows])
    except (AttributeError, TypeError, ValueError, RuntimeError, IndexError, KeyError) as error:
        raise _unsupported(model, f"its forward does not take them: {error}") from error
    if not torch.allclose(found_MV, wanted_MV, rtol=0, atol=TOLERANCE * float(wanted_MV.abs().max())):
        worst = float((found_MV - wanted_MV).abs().max())
        raise _unsupported(model, f"it does not keep them apart (logits differ by {worst:.2g})")


def _unsupported(model: Any, why: str) -> InvalidInput:
    kind = model.config.model_type
    message = f"thoughts in parallel are not possible with a {kind}: {why}"
    step = "Give a model with ordinary attention, rotary or learned positions, and a plain output layer."
    return InvalidInput(message, reason="THOUGHTS_UNSUPPORTED", field="model", next_step=step)
