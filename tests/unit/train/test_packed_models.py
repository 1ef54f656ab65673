"""A packed directory as a model that speaks; and who refuses it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from agentforge.data.tokenizer import train_tokenizer
from agentforge.kit.errors import ForgeError
from agentforge.kit.inputs import InputPath
from agentforge.models.ternary import record
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import ternary_layers
from agentforge.models.ternary.packed import Bits, save_packed
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.phase2_evomerge import admission as evomerge
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase3_quietstar import admission as quietstar
from agentforge.phase3_quietstar.config import QuietStarConfig
from agentforge.phase4_bitnet import admission as bitnet
from agentforge.phase4_bitnet.config import BitNetConfig
from agentforge.train.directory import check_weights
from agentforge.train.loading import load_model
from tests import pico


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One ternary model as latents and packed, with its embeddings whole: the same model twice."""
    place, model = tmp_path_factory.mktemp("made"), pico.llama()
    convert(model)
    record.save(place / "latents", model)
    save_packed(place / "packed", model, Bits("1.6", 32))
    for form in ("latents", "packed"):
        pico.tokenizer().save_pretrained(place / form)
    return place


def test_it_is_the_model_that_was_packed_with_its_tokenizer(made: Path) -> None:
    latents, packed = load_model(made / "latents"), load_model(made / "packed")
    ids_BT = torch.randint(0, 100, (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(packed.model(input_ids=ids_BT).logits, latents.model(input_ids=ids_BT).logits)
    assert packed.tokenizer.get_vocab() == latents.tokenizer.get_vocab()
    assert (packed.context, packed.slides) == (latents.context, latents.slides) == (64, False)
    assert sum(isinstance(each, PackedLinear) for each in packed.model.modules()) == 14
    assert not packed.model.training


def test_latents_beside_it_come_first(made: Path, tmp_path: Path) -> None:
    both = shutil.copytree(made / "latents", tmp_path / "both")
    shutil.copy(made / "packed/packed.safetensors", both)
    assert len(ternary_layers(load_model(both).model)) == 14


def cut(place: Path) -> None:
    whole = (place / "packed.safetensors").read_bytes()
    (place / "packed.safetensors").write_bytes(whole[:-9])


def of_another(**fields: int) -> Callable[[Path], None]:
    return lambda place: pico.llama(**fields).config.save_pretrained(place)


def other_tokenizer(place: Path) -> None:
    train_tokenizer((f"for x{n} in range ( {n} )" for n in range(99)), 290).save_pretrained(place)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "BROKEN_FILE"),
        (of_another(num_hidden_layers=1), "BROKEN_FILE"),
        (of_another(num_hidden_layers=3), "WEIGHTS_INCOMPLETE"),
        (of_another(max_position_embeddings=128, hidden_size=64), "BROKEN_FILE"),
        (other_tokenizer, "TOKENIZER_MISMATCH"),
        (lambda place: (place / "tokenizer.json").unlink(), "NO_TOKENIZER"),
        (lambda place: (place / "packed.safetensors").unlink(), "NO_WEIGHTS"),
    ],
)
def test_what_is_wrong_with_it_is_told(
    made: Path, tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    place = shutil.copytree(made / "packed", tmp_path / "it")
    spoil(place)
    with pytest.raises(ForgeError) as caught:
        load_model(place)
    assert caught.value.reason == reason, caught.value


def test_phases_that_train_or_merge_refuse_it_by_its_files(made: Path) -> None:
    with pytest.raises(ForgeError, match="before phase bitnet"):
        check_weights(made / "packed")
    given = [InputPath(name, "model", made / "packed", "") for name in ("one", "two", "three")]
    refused = {
        "evomerge": evomerge.check(EvoMergeConfig(), given),
        "quietstar": quietstar.check(QuietStarConfig(), given[:1]),
        "bitnet": bitnet.check(BitNetConfig(), given[:1]),
    }
    reasons = {phase: {each.reason for each in found} for phase, found in refused.items()}
    assert "PACKED_MODEL" in reasons["evomerge"]
    assert reasons["quietstar"] >= {"PACKED_MODEL"}
    assert reasons["bitnet"] == {"ALREADY_TERNARY"}
