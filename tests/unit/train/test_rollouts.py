"""Answers with calls: results stand where the model stopped, and nothing depends on who is beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from agentforge.data.codec import Codec
from agentforge.data.toolcalls import RESULT_CLOSE, RESULT_OPEN, TOOL_CLOSE, TOOL_OPEN
from agentforge.train.rollouts import called, rollouts
from tests import pico


class Parrot:
    """Says what is prepared, whatever it is asked: `generate` of a model, without one."""

    device = torch.device("cpu")

    def __init__(self, codec: Codec, *texts: str) -> None:
        self.codec, self.texts, self.asked = codec, list(texts), []  # type: ignore[var-annotated]

    def generate(self, input_ids: torch.Tensor, generation_config: Any, **_: Any) -> torch.Tensor:
        self.asked.append(self.codec.text(input_ids[0].tolist()))
        said = self.codec.ids(self.texts.pop(0))[: generation_config.max_new_tokens]
        return torch.cat([input_ids, torch.tensor([said] * len(input_ids))], 1)


CALL = f"{TOOL_OPEN}calculator(1 + 2){TOOL_CLOSE}"


def codec() -> Codec:
    return Codec(pico.tokenizer())


def test_a_result_is_put_behind_a_call_and_is_not_the_models_own() -> None:
    own = codec()
    parrot = Parrot(own, f" {CALL}", " 3<|eos|>")
    [found] = rollouts(parrot, own, [own.ids("Q: 1 + 2 = A:")], run=lambda body: f"ran {body}", room=60)
    result = f"{RESULT_OPEN}ran calculator(1 + 2){RESULT_CLOSE}"
    assert own.text(found.ids) == f" {CALL}{result} 3<|eos|>"
    assert own.text([token for token, is_own in zip(found.ids, found.own, strict=True) if not is_own]) == result
    assert (found.calls, found.ended) == (1, True)
    assert parrot.asked[1].endswith(result), "it goes on behind the result"


def test_room_counts_what_the_model_says_and_not_what_tools_do() -> None:
    own = codec()
    size = len(own.ids(f" {CALL}"))
    parrot = Parrot(own, f" {CALL}", " 3333333333")
    [found] = rollouts(parrot, own, [own.ids("Q:")], run=lambda body: "7" * 50, room=size + 3)
    assert found.said == size + 3


@pytest.mark.parametrize(("calls", "expected"), [(1, 1), (2, 2)])
def test_beyond_its_calls_there_is_no_result(calls: int, expected: int) -> None:
    own = codec()
    parrot = Parrot(own, CALL, CALL, " 3<|eos|>")
    [found] = rollouts(parrot, own, [own.ids("Q:")], run=lambda body: "3", room=100, calls=calls)
    assert found.calls == expected
    assert own.text(found.ids).count(RESULT_OPEN) == expected


def test_without_tools_a_call_is_text() -> None:
    own = codec()
    [found] = rollouts(Parrot(own, f"{CALL} 3<|eos|>"), own, [own.ids("Q:")], run=None, room=60)
    assert own.text(found.ids) == f"{CALL} 3<|eos|>"


def test_company_changes_nothing() -> None:
    own, model = codec(), pico.titan().eval()
    prompts = [own.ids(f"Q: {number} + 2 = A:") for number in range(5)]
    together = rollouts(model, own, prompts, run=None, room=6)
    assert [each.ids for each in together] == [
        rollouts(model, own, [prompt], run=None, room=6)[0].ids for prompt in prompts
    ]


def test_dice_are_those_of_the_seed() -> None:
    own, model = codec(), pico.titan().eval()
    asked = [own.ids("Q: 1 + 2 = A:")] * 2
    first, again, other = (
        [each.ids for each in rollouts(model, own, asked, run=None, room=8, temperature=1.0, seed=seed)]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (f"x {CALL}", "calculator(1 + 2)"),
        (CALL + " 3", None),
        (TOOL_OPEN + "a(", None),
        ("a(1)", None),
        (TOOL_CLOSE, None),
    ],
)
def test_what_counts_as_a_call(said: str, body: str | None) -> None:
    assert called(said) == body
