"""`agentforge models register --merge`: a LoRA adapter and its registered base become one model."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentforge.cli import models
from agentforge.kit.errors import ForgeError
from tests import pico
from tests.unit.baking.brought_adapters import brought
from tests.unit.cli.program import Program

REAL = "agentforge.pipeline"
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pico.save(pico.llama(max_position_embeddings=128), tmp_path_factory.mktemp("merge") / "base")


def gpt2() -> Any:
    """Its layers hold their weights the other way round, as adapters of it say by fan_in_fan_out."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_head=2, n_embd=32, n_positions=128, vocab_size=len(pico.tokenizer()))
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {"r": 4, "lora_alpha": 8}),
        ("llama", {"r": 3, "lora_alpha": 5, "use_rslora": True, "alpha_pattern": {"v_proj": 9}}),
        ("gpt2", {"r": 2, "lora_alpha": 6, "fan_in_fan_out": True, "target_modules": ["c_attn"]}),
    ],
)
def test_the_merged_model_is_w_plus_ba(kind: str, settings: dict[str, Any], tmp_path: Path) -> None:
    made = pico.llama(max_position_embeddings=128) if kind == "llama" else gpt2()
    below = pico.save(made, tmp_path / "base")
    adapter = brought(below, tmp_path / "adapter", seed=3, **settings)
    home = tmp_path / "home"
    home.mkdir()
    forge = Program(home, pipeline=REAL)
    assert forge("models", "register", "below", below).code == 0
    done = forge("models", "register", "whole", adapter, "--base", "below:1.0.0", "--merge", "--json", timeout=300)
    assert done.code == 0, done
    version = json.loads(done.out)
    assert (version["artifact"]["kind"], version["base"], version["origin"]["phase"]) == ("model", "", "baking")
    assert {one["name"]: one["kind"] for one in version["parents"]} == {"model": "model", "adapter": "adapter"}
    error = next(one for one in version["measurements"] if one["name"] == "baking/merge_error")
    assert error["value"] < 1e-5
    assert int(error["n"]) > 0
    place = home / version["artifact"]["path"]
    assert_by_hand(below, adapter, place)
    assert_by_peft(below, adapter, place)
    card = forge("models", "card", "whole").out
    assert r"baking/merge\_error" in card
    assert "below:1.0.0" in forge("models", "lineage", "whole").out
    assert "not merged here" not in card
    replayed = forge("models", "verify", "whole", "--replay", timeout=300)
    assert (replayed.code, "the same digest" in replayed.out) == (0, True), replayed
    again = forge("models", "register", "whole", adapter, "--base", "below", "--merge", timeout=300)
    assert "the same artifact has this name already" in again.out, again


def assert_by_hand(base: Path, adapter: Path, merged: Path) -> None:
    """W + s·B·A in numpy: every tensor of the base is there, changed by that or not at all."""
    from safetensors.numpy import load_file

    told = json.loads((adapter / "adapter_config.json").read_text())
    before, factors, after = (
        load_file(base / "model.safetensors"),
        load_file(adapter / WEIGHTS),
        load_tensors(merged),
    )
    assert before.keys() == after.keys()
    changed = 0
    for name, weight in before.items():
        layer = f"base_model.model.{name.removesuffix('.weight')}"
        a = factors.get(f"{layer}.lora_A.weight")
        if a is None:
            assert (after[name] == weight).all(), name
            continue
        alpha = next((v for k, v in told["alpha_pattern"].items() if layer.endswith(k)), told["lora_alpha"])
        scale = alpha / (math.sqrt(a.shape[0]) if told["use_rslora"] else a.shape[0])
        delta = scale * factors[f"{layer}.lora_B.weight"] @ a
        wanted = weight + (delta.T if told["fan_in_fan_out"] else delta)
        assert abs(after[name] - wanted).max() < 1e-6, name
        changed += 1
    assert changed == len(factors) // 2 > 0


def load_tensors(place: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(place / "model.safetensors")


def assert_by_peft(base: Path, adapter: Path, merged: Path) -> None:
    """PEFT's own merge of what transformers loads, to the bit."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    loader: Any = AutoModelForCausalLM
    theirs: Any = peft.PeftModel.from_pretrained(loader.from_pretrained(base), adapter).merge_and_unload()
    ours = loader.from_pretrained(merged)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(tensor, ours.state_dict()[name]), name


def settings(**said: Any) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        path = place / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | said))

    return change


def tensors(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def changed(place: Path) -> None:
        from safetensors.numpy import load_file, save_file

        held = load_file(place / WEIGHTS)
        change(held)
        save_file(held, place / WEIGHTS)

    return changed


def not_a_number(held: dict[str, Any]) -> None:
    held[min(held)][0, 0] = math.nan


def pickled(place: Path) -> None:
    (place / WEIGHTS).rename(place / "adapter_model.bin")


def of_another_layer(held: dict[str, Any]) -> None:
    for name in list(held):
        held[name.replace("layers.0", "layers.7")] = held.pop(name)


def narrower(held: dict[str, Any]) -> None:
    held.update({name: tensor[..., :-1].copy() for name, tensor in held.items() if "lora_A" in name})


def cut(place: Path) -> None:
    (place / WEIGHTS).write_bytes((place / WEIGHTS).read_bytes()[:-9])


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "rank 0": (settings(r=0), "RANK_ZERO"),
    "a number that is none": (tensors(not_a_number), "NOT_FINITE"),
    "a pickle": (pickled, "PICKLE_REFUSED"),
    "a layer that the base lacks": (tensors(of_another_layer), "WRONG_BASE"),
    "another shape": (tensors(narrower), "WRONG_BASE"),
    "another kind": (settings(peft_type="IA3"), "NOT_LORA"),
    "whole layers beside it": (settings(modules_to_save=["lm_head"]), "UNSUPPORTED_ADAPTER"),
    "the weights cut": (cut, "BAD_SAFETENSORS"),
}  # fmt: skip


@pytest.fixture
def home(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A volume on which the base is registered as `below`."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("AGENTFORGE_HOME", str(home))
    monkeypatch.setenv("AGENTFORGE_PIPELINE", REAL)
    assert register("below", base) == 0
    return home


def register(name: str, source: Path, base: str = "", *, merge: bool = False) -> int:
    return models.register("", name, str(source), "", base, [], "", merge=merge, as_json=True)


def refusal(source: Path, base: str) -> str:
    with pytest.raises(ForgeError) as caught:
        register("whole", source, base, merge=True)
    assert caught.value.next_step or caught.value.field, caught.value
    return caught.value.reason


def test_what_cannot_be_merged_is_refused_and_nothing_is_registered(
    base: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = brought(base, home.parent / "adapter")
    for how, (spoil, reason) in BAD.items():
        place = Path(shutil.copytree(adapter, home.parent / how.replace(" ", "-")))
        spoil(place)
        assert refusal(place, "below") == reason, how
    assert refusal(adapter, "") == "ADAPTER_BASE"
    assert refusal(adapter, "nobody") == "UNKNOWN_MODEL"
    assert register("beside", adapter, "below") == 0
    assert refusal(adapter, "beside") == "ADAPTER_BASE"
    assert refusal(base, "below") == "NOT_AN_ADAPTER"
    capsys.readouterr()
    assert models.list_models("", as_json=True) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["below", "beside"]
    assert not list((home / "runs").glob("merge-*"))
