"""What computes a ternary model says what plain torch says, and says what it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.models.ternary import record
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.kernels import KernelLinear, chosen
from agentforge.models.ternary.linear import Mode
from agentforge.models.ternary.packed import Bits, save_packed
from agentforge.train import engine
from agentforge.train.engine import parameters, runner, use_kernels
from agentforge.train.loading import LoadedModel, load_model
from agentforge.train.talk import Talker
from tests import pico

MODELS: dict[str, tuple[Callable[[], Any], Mode]] = {
    "titan": (
        lambda: pico.titan(num_hidden_layers=2, persistent_tokens=2, recursion=True, sliding_window=36),
        Mode(),
    ),
    "llama": (lambda: pico.llama(tie_word_embeddings=False, attention_bias=True), Mode("channel")),
    "groups": (pico.llama, Mode("group", 16)),
}
FORMS = ("latents", "packed", "packed4")  # embeddings of 32, 8 and 4 bits
PROMPTS = ("Q: copy ab A:", "x", "12 + 7", "the longest of these, of 36 letters")
TEMPERATURES = (0.0, 1.0)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def ternary(name: str, steps: int = 0) -> Any:
    make, mode = MODELS[name]
    model = make().eval()
    convert(model, mode=mode)
    return pico.trained(model, [("copy", 2)], steps, seed=1, batch=8)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Of each form, each model. Trained a little, so that answers end, and differ."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, Path]] = {form: {} for form in FORMS}
    for name in MODELS:
        model = ternary(name, 30)
        for form in FORMS:
            place = found[form][name] = tmp_path_factory.mktemp(form) / name
            pico.tokenizer().save_pretrained(place)
            if form == "latents":
                record.save(place, model)
            else:
                save_packed(place, model, Bits(embeddings=4 if form == "packed4" else 8))
    return found


@pytest.fixture
def packed(places: dict[str, dict[str, Path]]) -> dict[str, Path]:
    return places["packed"]


def says(loaded: LoadedModel, by: engine.Runner | None, room: int, seed: int = 1) -> list[str]:
    found = []
    for temperature in TEMPERATURES:
        talker = Talker(loaded, max_new_tokens=room, temperature=temperature, seed=seed, runner=by)
        found += [talker.say(prompt).text for prompt in PROMPTS]
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MODELS)
def test_the_runner_says_what_plain_torch_says(places: dict[str, dict[str, Path]], name: str, form: str) -> None:
    plain, fast = load_model(places[form][name]), load_model(places[form][name])
    expected = says(plain, None, 30)
    assert len(set(expected)) > 3
    assert use_kernels(fast.model) == f"kernel/{chosen()}"
    by = runner(fast.model)
    assert by is not None
    assert by.name == f"decoder/{chosen()}"
    assert says(fast, by, 30) == expected
    assert says(fast, by, 30, seed=2) != expected  # the dice are the talker's


def test_it_makes_room_as_it_is_needed(packed: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model(packed["llama"])
    use_kernels(loaded.model)
    expected = says(loaded, runner(loaded.model), 40)
    monkeypatch.setattr(engine, "_SHORTEST", 16)
    assert says(loaded, runner(loaded.model), 40) == expected


def test_it_stops_at_the_limit_and_at_the_end_of_the_context(packed: dict[str, Path]) -> None:
    loaded = load_model(packed["llama"])
    use_kernels(loaded.model)
    by = runner(loaded.model)
    assert by is not None
    drawn = [0]

    def counted(*args: Any) -> Any:
        for token in type(by).answer(by, *args):  # type: ignore[arg-type]
            drawn[0] += 1
            yield token

    loaded.tokenizer.eos_token = pico.tokenizer().pad_token  # which is not said here: no answer ends by itself
    for prompt, limit, wanted in (("x", 5, 5), ("y" * 60, 99, 4)):
        talker = Talker(loaded, max_new_tokens=limit, runner=by)
        drawn[0] = 0
        talker.runner = type("Counted", (), {"answer": staticmethod(counted)})()  # type: ignore[assignment]
        talker.say(prompt)
        assert drawn == [wanted]


def test_what_is_streamed_is_what_is_said(packed: dict[str, Path]) -> None:
    loaded = load_model(packed["titan"])
    use_kernels(loaded.model)
    talker, most = Talker(loaded, temperature=1.0, max_new_tokens=20, runner=runner(loaded.model)), 0
    for prompt in PROMPTS:
        pieces: list[str] = []
        assert talker.say(prompt, pieces.append).text == "".join(pieces)
        most = max(most, len(pieces))
    assert most > 1


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("form", ["latents", "packed"])
def test_by_kernel_the_logits_are_the_same_and_so_is_the_count(
    packed: dict[str, Path], name: str, form: str
) -> None:
    model = load_model(packed[name]).model if form == "packed" else ternary(name)
    wanted = MODELS[name][0]().num_parameters()
    ids_BT = torch.randint(0, 100, (3, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = model(input_ids=ids_BT).logits
        assert parameters(model) == wanted
        assert use_kernels(model) == use_kernels(model) == f"kernel/{chosen()}"
        after = model(input_ids=ids_BT).logits
    assert parameters(model) == wanted
    assert sum(isinstance(each, KernelLinear) for each in model.modules()) == (10 if name == "titan" else 14)
    if name == "groups":
        torch.testing.assert_close(after, before, rtol=0, atol=2e-2)  # a last bit can turn a rounding of 8 bits
    else:
        assert torch.equal(after, before)


def test_what_the_runner_would_say_otherwise_it_does_not_say(tmp_path: Path) -> None:
    """Another kind of model, an activation that it has not, sums in 16 bits."""
    from transformers import MistralConfig, MistralForCausalLM

    shape = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_hidden_layers": 1}
    mistral = MistralForCausalLM(MistralConfig(vocab_size=len(pico.tokenizer()), num_key_value_heads=2, **shape))
    models = {"mistral": mistral, "gelu": pico.llama(hidden_act="gelu"), "half": pico.llama().bfloat16()}
    for name, model in models.items():
        convert(model)
        record.save(tmp_path / name, model)
        pico.tokenizer().save_pretrained(tmp_path / name)
        loaded = load_model(tmp_path / name).model
        assert use_kernels(loaded) == f"kernel/{chosen()}"
        assert runner(loaded) is None, name


@pytest.mark.parametrize(
    ("variable", "mode", "told"),
    [("torch", Mode(), "AGENTFORGE_KERNEL"), ("", Mode("group", 8), "multiples of 16")],
)
def test_plain_torch_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, mode: Mode, told: str
) -> None:
    monkeypatch.setenv("AGENTFORGE_KERNEL", variable)
    model = pico.llama()
    convert(model, mode=mode)
    with caplog.at_level(logging.WARNING):
        assert use_kernels(model) == "torch"
    assert [told in each.message for each in caplog.records] == [True]
    assert not any(isinstance(each, KernelLinear) for each in model.modules())


def test_a_model_that_is_not_ternary_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AGENTFORGE_KERNEL", "torch")
    assert use_kernels(pico.llama()) is None
    assert not caplog.records
