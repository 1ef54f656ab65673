"""What cannot be searched or packed is refused: from its files where they tell it, else before the search."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.config import validate_config
from agentforge.kit.errors import FailedPrecondition, InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase7_adas import analyse
from agentforge.phase7_adas.admission import KEY_VARIABLE, check
from agentforge.phase7_adas.config import AdasConfig
from tests import pico
from tests.unit.adas.phases import ask, small


def found(directory: Path, **changes: Any) -> list[Violation]:
    config = validate_config(AdasConfig, small(**changes))
    return check(config, [InputPath("mine", "model", directory, "")])


def described(**fields: Any) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        file = place / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields))

    return change


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "packed": (lambda place: (place / "packed.safetensors").write_text(""), "PACKED_MODEL"),
    "pickle": (lambda place: (place / "model.safetensors").rename(place / "pytorch_model.bin"), "PICKLE_REFUSED"),
    "no tokenizer": (lambda place: (place / "tokenizer.json").unlink(), "NO_TOKENIZER"),
    "vocabulary above int32": (described(vocab_size=2**31), "CANNOT_EXPORT"),
    "random memory": (described(memory=True, memory_write="random"), "CANNOT_EXPORT"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_models_are_refused_from_their_files(tmp_path: Path, name: str) -> None:
    change, reason = BAD[name]
    place = pico.save(pico.titan(), tmp_path / "it")
    change(place)
    assert reason in {violation.reason for violation in found(place)}


def test_texts_longer_than_the_model_takes_are_refused(tmp_path: Path) -> None:
    place = pico.save(pico.llama(), tmp_path / "it")
    [violation] = found(place, export={"context": 65})
    assert (violation.field, violation.reason) == ("export.context", "CONTEXT_TOO_LONG")
    assert "64 or less" in violation.next_step


def test_a_context_beyond_the_devices_memory_is_refused_before_the_search(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ask(volume, "long", "llama", export={"context": 40})
    tiny = analyse.device("xavier-nx")
    monkeypatch.setattr(type(tiny), "usable_bytes", property(lambda self: 100_000))
    with pytest.raises(InvalidInput) as refused:
        run.go()
    assert refused.value.reason == "CONTEXT_BEYOND_MEMORY"
    assert refused.value.field == "export.context"


@pytest.mark.parametrize("change", [{"device": "tx1"}, {"profile": {"devices": ["tx1"]}}])
def test_devices_that_nobody_knows_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="tx1"):
        validate_config(AdasConfig, small(**change))


def test_a_package_that_is_to_be_signed_needs_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = pico.save(pico.titan(), tmp_path / "it")
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    [violation] = found(place, package={"sign": True})
    assert (violation.field, violation.reason) == ("package.sign", "NO_KEY")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = pico.save(pico.titan(), tmp_path / "it")
    key = tmp_path / "key.pem"
    key.write_text("secret")
    key.chmod(0o644)
    monkeypatch.setenv(KEY_VARIABLE, str(key))
    [violation] = found(place, package={"sign": True})
    assert violation.reason == "KEY_NOT_PRIVATE"
    assert "chmod 600" in violation.next_step


def test_calibration_on_held_out_items_is_refused(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentforge.data.splits import Split
    from agentforge.phase7_adas.start import Start

    own = Start.items

    def mixed(self: Start, split: Split, count: int) -> Any:
        return own(self, Split.TEST if split is Split.CALIBRATION else split, count)

    monkeypatch.setattr(Start, "items", mixed)
    run = ask(volume, "overlap", "llama", search=None, export={"cpu": []})
    with pytest.raises(FailedPrecondition, match="test split"):
        run.go()
