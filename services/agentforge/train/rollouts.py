"""Answers of a model that may call tools: it speaks until a call, gets the result, and speaks on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from agentforge.data.codec import Codec
from agentforge.data.toolcalls import RESULT_CLOSE, RESULT_OPEN, TOOL_CLOSE, TOOL_OPEN
from agentforge.kit.rng import Rng
from agentforge.train.evaluate import alike, padded

Run = Callable[[str], str]
"""From a call as the model said it, `calculator(25 + 17)`, to the tool's result."""

Constraint = Callable[[], LogitsProcessor]
"""What restrains one generation, made anew for each."""


@dataclass
class Trajectory:
    """What stands behind a prompt. `own[i]`: the model said token i; results are put there by tools."""

    ids: list[int] = field(default_factory=list)
    own: list[bool] = field(default_factory=list)
    ended: bool = False  # by the end token, which is in `ids`
    calls: int = 0

    def add(self, ids: Sequence[int], *, own: bool) -> None:
        self.ids += ids
        self.own += [own] * len(ids)

    @property
    def said(self) -> int:
        return sum(self.own)


@torch.no_grad()
def rollouts(
    model: Any,
    codec: Codec,
    prompts: Sequence[list[int]],
    *,
    run: Run | None,
    room: int,  # tokens that the model may say, its calls among them
    calls: int = 1,  # a model that calls more often goes on without results
    temperature: float = 0.0,
    seed: int = 0,
    batch: int = 64,
    constraint: Constraint | None = None,
) -> list[Trajectory]:
    found = [Trajectory() for _ in prompts]
    for turn in range(calls + 1):
        open_ = [place for place, each in enumerate(found) if not each.ended and each.said < room]
        for chosen in alike([len(prompts[place]) + len(found[place].ids) for place in open_], batch):
            places = [open_[each] for each in chosen]
            torch.manual_seed(Rng(seed, "rollouts", turn, places[0]).seed)  # transformers knows no other way
            rows = [prompts[place] + found[place].ids for place in places]
            most = max(room - found[place].said for place in places)
            stops = run is not None and turn < calls
            for place, ids in zip(
                places, _spoken(model, codec, rows, most, stops, temperature, constraint), strict=True
            ):
                _take(found[place], ids[: room - found[place].said], codec, run if stops else None)
    return found


def _take(trajectory: Trajectory, ids: list[int], codec: Codec, run: Run | None) -> None:
    """What the model said, and a result behind a call. Without one the trajectory is over."""
    trajectory.add(ids, own=True)
    trajectory.ended = codec.eos in ids
    body = None if run is None or trajectory.ended else called(codec.text(ids))
    if run is None or body is None:
        trajectory.ended = True
        return
    trajectory.add(codec.ids(f"{RESULT_OPEN}{run(body)}{RESULT_CLOSE}"), own=False)
    trajectory.calls += 1


def called(said: str) -> str | None:
    """The body of the call that a text ends with."""
    _, mark, rest = said.rpartition(TOOL_OPEN)
    body, close, after = rest.partition(TOOL_CLOSE)
    return body if mark and close and not after.strip() else None


def _spoken(
    model: Any, codec: Codec, rows: list[list[int]], most: int, stops: bool, temperature: float,
    constraint: Constraint | None,
) -> list[list[int]]:  # fmt: skip
    """New tokens of each row, up to its end or the end of its first call, either included."""
    ids_BT, mask_BT = padded(rows, codec.pad, model.device, left=True)
    ends, strings = [codec.eos], None
    if stops:
        close = codec.ids(TOOL_CLOSE)
        if len(close) == 1:
            ends.append(close[0])
        else:  # a tokenizer that spells our marks out
            strings = [TOOL_CLOSE]
    sampling: dict[str, Any] = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {}
    how = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=most, eos_token_id=ends, pad_token_id=codec.pad, stop_strings=strings, **sampling
    )
    out_BT = model.generate(
        input_ids=ids_BT, attention_mask=mask_BT, generation_config=how, tokenizer=codec.tokenizer,
        logits_processor=None if constraint is None else LogitsProcessorList([constraint()]),
    )  # fmt: skip
    return [_cut(row, ends, codec, strings) for row in out_BT[:, ids_BT.shape[1] :].tolist()]


def _cut(ids: list[int], ends: list[int], codec: Codec, strings: list[str] | None) -> list[int]:
    """Without what fills a row that ended before others of its batch."""
    place = next((place for place, token in enumerate(ids) if token in ends), None)
    ids = ids if place is None else ids[: place + 1]
    if strings is not None:
        for size in range(1, len(ids) + 1):
            if TOOL_CLOSE in codec.text(ids[:size]):
                return ids[:size]
    return ids
