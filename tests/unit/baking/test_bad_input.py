"""What cannot be baked is refused: from its files where they tell it, else before the first step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.agents.report import GraphFailed
from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase6_baking.admission import check
from agentforge.phase6_baking.config import BakingConfig
from tests import pico
from tests.unit.baking.phases import ask, small


def found(directory: Path, **changes: Any) -> list[Violation]:
    config = validate_config(BakingConfig, small(**changes))
    return check(config, [InputPath("mine", "model", directory, "")])


def cut(place: Path) -> None:
    file = place / "model.safetensors"
    file.write_bytes(file.read_bytes()[:20])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "packed": (lambda place: (place / "packed.safetensors").write_text(""), "PACKED_MODEL"),
    "cut": (cut, "BROKEN_FILE"),
    "pickle": (lambda place: (place / "model.safetensors").rename(place / "pytorch_model.bin"), "PICKLE_REFUSED"),
    "no tokenizer": (lambda place: (place / "tokenizer.json").unlink(), "NO_TOKENIZER"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_models_are_refused_from_their_files(tmp_path: Path, name: str) -> None:
    change, reason = BAD[name]
    place = pico.save(pico.titan(), tmp_path / "it")
    change(place)
    assert reason in {violation.reason for violation in found(place)}


def test_prompts_that_leave_no_room_are_refused(tmp_path: Path) -> None:
    place = pico.save(pico.titan(), tmp_path / "it")
    [violation] = found(place, tools={"prompt": "<|system|>" + "tools " * 40})
    assert violation.reason == "PROMPT_TOO_LONG"
    assert "shorten the prompts" in violation.next_step


def test_rows_longer_than_the_model_sees_are_refused(tmp_path: Path) -> None:
    place = pico.save(pico.llama(), tmp_path / "it")
    assert {violation.reason for violation in found(place)} == {"SEQUENCE_TOO_LONG"}


def test_a_plug_in_that_is_not_there_is_refused(tmp_path: Path) -> None:
    place = pico.save(pico.titan(), tmp_path / "it")
    changed = {"names": ["calculator", "mine"], "plugins": ["nowhere.at_all:tool"]}
    [violation] = found(place, tools=changed)
    assert "nowhere.at_all" in violation.message


def test_a_plug_in_by_the_name_of_another_tool_is_refused(tmp_path: Path) -> None:
    place = pico.save(pico.titan(), tmp_path / "it")
    [violation] = found(place, tools={"plugins": ["agentforge.tools.builtin.search:SEARCH"]})
    assert violation.field.startswith("tools")


def test_nothing_to_do_is_refused(tmp_path: Path) -> None:
    place = pico.save(pico.titan(), tmp_path / "it")
    [violation] = found(place, cycles={"most": 0})
    assert violation.reason == "NOTHING_TO_DO"


def test_rows_that_are_too_short_are_told_before_the_first_step(volume: Path) -> None:
    run = ask(volume, "short", data={"length": 60})
    with pytest.raises(InvalidInput) as caught:
        run.go()
    assert (caught.value.reason, caught.value.field) == ("ITEM_TOO_LONG", "data.length")
    assert not [name for name in run.names() if "loss" in name]


def test_a_teacher_that_is_never_right_teaches_nothing_and_its_weights_are_kept(volume: Path) -> None:
    run = ask(volume, "wrong", cycles={"outcomes": "right"})
    with pytest.raises(GraphFailed) as caught:
        run.go()
    assert caught.value.field == "model_optimizer"
    assert "following.steps" in str(caught.value)
    assert not run.output.exists()
    assert (run.run.checkpoints_path / "4").exists() or any(run.run.checkpoints_path.iterdir())
