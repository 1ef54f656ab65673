"""What cannot be made ternary is refused: from its files where they tell it, else before the first step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.kit.config import validate_config
from agentforge.kit.errors import ForgeError, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase4_bitnet.admission import check
from agentforge.phase4_bitnet.config import BitNetConfig
from tests import pico
from tests.attempts import Attempt
from tests.unit.bitnet.phases import ask, small

Change = Callable[[Path], object]


def found(directory: Path, **changes: Any) -> list[Violation]:
    config = validate_config(BitNetConfig, small(**changes))
    return check(config, [InputPath("mine", "model", directory, "")])


def cut(file: str) -> Change:
    return lambda place: (place / file).write_bytes((place / file).read_bytes()[:20])


def without(file: str) -> Change:
    return lambda place: (place / file).unlink()


def added(file: str, text: str = "{}") -> Change:
    return lambda place: (place / file).write_text(text)


def described(**fields: Any) -> Change:
    def change(place: Path) -> None:
        path = place / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return change


def pickled(place: Path) -> None:
    (place / "model.safetensors").rename(place / "pytorch_model.bin")


def other_names(place: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(place / "model.safetensors")
    save_file({name.replace("_proj", ""): tensor for name, tensor in tensors.items()}, place / "model.safetensors")


BAD: dict[str, tuple[str, Change, str, str]] = {
    "ternary": ("llama", added("ternary.json"), "ALREADY_TERNARY", "has a ternary.json"),
    "packed": ("titan", added("packed.safetensors", ""), "ALREADY_TERNARY", "has a packed.safetensors"),
    "pickle": ("llama", pickled, "PICKLE_REFUSED", "pytorch_model.bin"),
    "no weights": ("llama", without("model.safetensors"), "NO_WEIGHTS", "safetensors"),
    "broken weights": ("llama", cut("model.safetensors"), "BROKEN_FILE", "model.safetensors"),
    "no tokenizer": ("titan", without("tokenizer.json"), "NO_TOKENIZER", "tokenizer.json"),
    "broken tokenizer": ("titan", cut("tokenizer.json"), "BROKEN_FILE", "cannot be read"),
    "code": ("llama", added("tokenizer_config.json", '{"auto_map": {}}'), "REMOTE_CODE_REFUSED", "code"),
    "no type": ("llama", described(model_type=None), "UNKNOWN_MODEL_TYPE", "model_type"),
    "no layers": ("llama", other_names, "NO_LAYERS", "q_proj to down_proj"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_models_are_refused_from_their_files(tmp_path: Path, name: str) -> None:
    base, change, reason, named = BAD[name]
    place = pico.save(pico.titan() if base == "titan" else pico.llama(), tmp_path / "it")
    assert found(place) == []
    change(place)
    (violation,) = found(place)
    assert (violation.field, violation.reason) == ("inputs.mine", reason)
    assert named in violation.message


@pytest.mark.parametrize("make", [lambda: pico.titan(memory=True, memory_layers=[0]), pico.llama])
def test_groups_that_do_not_fit_are_told_by_layer_and_as_convert_tells_them(
    tmp_path: Path, make: Callable[[], Any]
) -> None:
    from agentforge.models.ternary.convert import convert, projections
    from agentforge.models.ternary.linear import Mode

    model = make()
    place = pico.save(model, tmp_path / "it")
    violations = found(place, ternary={"scale": "group", "group": 64})
    with pytest.raises(ForgeError) as caught:
        convert(model, None, Mode("group", 64))
    told = {each.message: each.next_step for each in caught.value.violations}
    assert {each.message: each.next_step for each in violations} == told
    assert {each.field for each in violations} == {"ternary.group"}
    assert all("divided by 2, 4, 8, 16, 32" in each.next_step for each in violations)
    down = [name for name in projections(model) if "down" in name]
    assert len(violations) == len(projections(model)) - len(down), "64 inputs have the down projections alone"


def test_rows_beyond_the_positions(tmp_path: Path) -> None:
    place = pico.save(pico.llama(), tmp_path / "it")
    (violation,) = found(place, data={"length": 65})
    assert (violation.field, violation.reason) == ("data.length", "SEQUENCE_TOO_LONG")
    assert found(place, data={"length": 64}) == []


def fails(volume: Path, run_id: str, **changes: Any) -> ForgeError:
    run = ask(volume, run_id, "llama", **changes)
    with pytest.raises(ForgeError) as caught:
        run.go()
    assert not run.output.exists()
    assert not [name for name in run.names() if "training" in name], "not one step"
    return caught.value


def test_rows_that_do_not_fit(volume: Path) -> None:
    assert fails(volume, "long", data={"length": 20}).reason == "ITEM_TOO_LONG"


def test_fewer_calibration_items_than_a_batch(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one family of few: the split has no more, whatever is asked for."""
    data = {"families": {"nested": [1]}, "length": 28}
    error = fails(volume, "few", data=data, calibration={"batch": 100})
    assert (error.reason, error.field) == ("TOO_FEW_SAMPLES", "calibration.batch")
    original = ItemStream.distinct

    def distinct(self: ItemStream, count: int, **options: bool) -> list[Item]:
        return [] if self.split is Split.CALIBRATION else original(self, count, **options)

    monkeypatch.setattr(ItemStream, "distinct", distinct)
    error = fails(volume, "none")
    assert (error.reason, error.field) == ("SPLIT_EMPTY", "data.families.nested")
    assert "calibration" in error.message


def test_activations_that_are_not_finite(volume: Path) -> None:
    import torch

    model = pico.llama()
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.fill_(3e38)
    pico.save(model, volume / "mine/hot")
    run = ask(volume, "hot", "hot")
    with pytest.raises(ForgeError) as caught:
        run.go()
    assert caught.value.reason == "ACTIVATIONS_NOT_FINITE"
    assert caught.value.field == "model.layers.1.mlp.down_proj"


def test_an_output_is_not_quantised_twice(volume: Path, calm: Attempt) -> None:
    shutil.copytree(calm.output, volume / "mine/made")
    with pytest.raises(ForgeError) as caught:
        ask(volume, "second", "made")
    assert caught.value.reason == "ALREADY_TERNARY"


def test_weights_that_are_ternary_without_a_record_keep_their_codes(volume: Path) -> None:
    import torch

    from agentforge.models.ternary.convert import projections

    model = pico.llama()
    with torch.no_grad():
        for name in projections(model):
            weight = model.get_submodule(name).weight
            weight.copy_(weight.sign() * (weight.abs() > weight.abs().median()) * 0.05)
    pico.save(model, volume / "mine/signs")
    run = ask(volume, "signs", "signs").go()
    assert run.logs().count("is ternary already") == 14
    layers = run.samples("bitnet/layers")[0]["layers"]
    assert all(layer["was_ternary"] and layer["error"] < 1e-3 for layer in layers)
    rounded, given = (run.values(f"bitnet/{who}/loss")[0] for who in ("rounded", "input"))
    assert rounded == pytest.approx(given, abs=0.01)
