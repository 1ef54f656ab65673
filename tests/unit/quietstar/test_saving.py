"""What a thinker has beyond its model: whole on disk, or told what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from agentforge.kit.errors import DataLoss, ForgeError, InvalidInput
from agentforge.models.thoughts.sampling import Sampling
from agentforge.models.thoughts.saving import HABITS, HEAD, load_thinker, save_thinker
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.models.thoughts.tokens import find_marks
from tests import pico

RECORD = {"step": 12, "measured": {"accuracy": 0.5}, "note": "ü"}


def thinker(make: Callable[[], Any] = pico.titan) -> Thinker:
    torch.manual_seed(0)
    sampling = Sampling(thoughts=2, length=12, top_p=0.8, temperature=1.5)
    made = Thinker(make(), find_marks(pico.tokenizer()), Habits(sampling, ahead=3, threshold=0.25, seed=7))
    torch.nn.init.normal_(made.head.outer.weight)
    return made


@pytest.mark.parametrize("make", [pico.titan, pico.llama])
def test_what_was_saved_is_what_is_loaded(make: Callable[[], Any], tmp_path: Path) -> None:
    made = thinker(make)
    save_thinker(tmp_path, made, RECORD)
    found = load_thinker(tmp_path, made.model, pico.tokenizer())
    assert found is not None
    assert (found.habits, found.marks, found.model) == (made.habits, made.marks, made.model)
    assert not found.training
    for name, tensor in made.head.state_dict().items():
        assert torch.equal(found.head.state_dict()[name], tensor)
    described = json.loads((tmp_path / HABITS).read_text())
    assert described["record"] == RECORD
    assert described["habits"]["threshold"] == 0.25
    before = [(tmp_path / name).read_bytes() for name in (HABITS, HEAD)]
    save_thinker(tmp_path, found, dict(reversed(RECORD.items())))
    assert [(tmp_path / name).read_bytes() for name in (HABITS, HEAD)] == before


def test_never_to_think_is_a_habit_too(tmp_path: Path) -> None:
    made = Thinker(pico.titan(), find_marks(pico.tokenizer()), Habits(Sampling()))
    save_thinker(tmp_path, made, {})
    found = load_thinker(tmp_path, made.model, pico.tokenizer())
    assert found is not None
    assert found.habits == made.habits


def test_the_head_takes_the_precision_of_its_model(tmp_path: Path) -> None:
    made = thinker()
    save_thinker(tmp_path, made, {})
    found = load_thinker(tmp_path, made.model.to(torch.bfloat16), pico.tokenizer())
    assert found is not None
    assert {tensor.dtype for tensor in found.parameters()} == {torch.bfloat16}


def test_an_ordinary_model_has_none(tmp_path: Path) -> None:
    assert load_thinker(tmp_path, pico.titan(), pico.tokenizer()) is None


def test_a_record_that_is_no_json_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"record\.loss"):
        save_thinker(tmp_path, thinker(), {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def habits(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def spoil(directory: Path) -> None:
        described = json.loads((directory / HABITS).read_text())
        change(described)
        (directory / HABITS).write_text(json.dumps(described))

    return spoil


def head(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def spoil(directory: Path) -> None:
        tensors = load_file(directory / HEAD)
        change(tensors)
        save_file(tensors, directory / HEAD)

    return spoil


def cut_short(directory: Path) -> None:
    (directory / HEAD).write_bytes((directory / HEAD).read_bytes()[:-4])


@pytest.mark.parametrize(
    ("spoil", "kind", "file", "field"),
    [
        (lambda d: (d / HABITS).write_text("{"), DataLoss, HABITS, HABITS),
        (lambda d: (d / HABITS).write_bytes(b"\xff"), DataLoss, HABITS, HABITS),
        (lambda d: (d / HABITS).write_text("[]"), DataLoss, HABITS, HABITS),
        (habits(lambda all_: all_.pop("habits")), InvalidInput, HABITS, "habits"),
        (habits(lambda all_: all_.update(more=1)), InvalidInput, HABITS, "more"),
        (habits(lambda all_: all_["habits"].update(mood=1)), InvalidInput, HABITS, "habits.mood"),
        (habits(lambda all_: all_["habits"]["sampling"].update(mood=1)), InvalidInput, HABITS, "sampling.mood"),
        (habits(lambda all_: all_["habits"].pop("seed")), InvalidInput, HABITS, "habits"),
        (habits(lambda all_: all_["habits"]["sampling"].pop("top_p")), InvalidInput, HABITS, "habits"),
        (habits(lambda all_: all_["habits"].update(ahead="3")), InvalidInput, HABITS, "habits.ahead"),
        (habits(lambda all_: all_["habits"].update(ahead=True)), InvalidInput, HABITS, "habits.ahead"),
        (habits(lambda all_: all_["habits"].update(ahead=0)), InvalidInput, HABITS, "ahead"),
        (habits(lambda all_: all_["habits"].update(threshold=float("nan"))), InvalidInput, HABITS, "threshold"),
        (habits(lambda all_: all_["habits"]["sampling"].update(thoughts=17)), InvalidInput, HABITS, "thoughts"),
        (habits(lambda all_: all_["marks"].update(start=3)), DataLoss, HABITS, "marks"),
        (lambda d: (d / HEAD).unlink(), DataLoss, HEAD, HEAD),
        (lambda d: (d / HEAD).write_bytes(b"\x80\x04."), DataLoss, HEAD, HEAD),
        (cut_short, DataLoss, HEAD, HEAD),
        (head(lambda all_: all_.pop("outer.bias")), DataLoss, HEAD, "outer.bias"),
        (head(lambda all_: all_.update(more=torch.ones(1))), DataLoss, HEAD, "more"),
        (head(lambda all_: all_.update({"inner.bias": torch.ones(49)})), DataLoss, HEAD, "inner.bias"),
        (head(lambda all_: all_["inner.weight"].fill_(float("inf"))), DataLoss, HEAD, "inner.weight"),
        (head(lambda all_: all_.update({"outer.bias": torch.ones(1).int()})), DataLoss, HEAD, "outer.bias"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(
    tmp_path: Path, spoil: Callable[[Path], None], kind: type[ForgeError], file: str, field: str
) -> None:
    made = thinker()
    save_thinker(tmp_path, made, RECORD)
    spoil(tmp_path)
    with pytest.raises(kind) as caught:
        load_thinker(tmp_path, made.model, pico.tokenizer())
    assert str(tmp_path / file) in caught.value.message
    assert caught.value.field.endswith(field), caught.value.field
