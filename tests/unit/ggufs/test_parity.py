"""llama.cpp itself runs the files: right ones pass by orders, and each way of writing one wrong fails by orders."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from agentforge.data.codec import Codec
from agentforge.data.tokenizer import wrap
from agentforge.kit.errors import DataLoss, InvalidInput
from agentforge.models.gguf import writer
from agentforge.models.gguf.parity import check_parity
from agentforge.models.gguf.reference import q8_0, q8_k
from agentforge.models.gguf.tensors import Types, Weight
from agentforge.models.gguf.verdict import CLOSE, EXACT, Parity, require
from agentforge.models.gguf.vocabulary import Vocabulary, vocabulary
from agentforge.models.gguf.writer import write_gguf
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.linear import Mode
from tests.unit.ggufs import small

pytestmark = [small.needs_gguf, small.needs_llama]

LLAMA_3 = {
    "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip


def parity(place: Path, model: Any, types: Types, codec: Codec | None = None) -> Parity:
    codec = codec or small.codec()
    return check_parity(write_gguf(place / "it.gguf", model, codec, types), model, codec, small.PROMPTS)


@pytest.fixture(scope="module")
def ternary() -> Any:
    model = small.llama()
    convert(model)
    return model


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False, "num_key_value_heads": 4},
        {"head_dim": 32, "num_key_value_heads": 1}, {"rope_parameters": LLAMA_3},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
        {"rms_norm_eps": 1e-2, "vocab_size": 320, "rope_parameters": {"rope_type": "default", "rope_theta": 100.0}},
    ],
    ids=["biases", "own head", "head width", "llama3 rope", "linear rope", "settings"],
)  # fmt: skip
def test_float32_is_torch(tmp_path: Path, fields: dict[str, Any]) -> None:
    found = parity(tmp_path, small.llama(**fields), Types("F32", embeddings="F32"))
    assert not found.wrong
    assert found.texts_equal == found.texts > 35
    assert found.positions == sum(len(small.codec().prompt_ids(prompt)) for prompt in small.PROMPTS)
    for each in (found.content, found.arithmetic, found.model, found.floats):
        assert each.largest < EXACT
        assert each.relative < EXACT / 10
        assert each.agreement == 1


@pytest.mark.parametrize(("kind", "off"), [("F16", 5e-3), ("Q8_0", 0.1)])
def test_dense_types(tmp_path: Path, kind: Any, off: float) -> None:
    found = parity(tmp_path, small.llama(), Types(kind, embeddings=kind))
    assert not found.wrong
    assert found.content.relative < EXACT / 10
    assert EXACT < found.model.relative < off
    assert found.arithmetic.relative < found.model.relative


@pytest.mark.parametrize("kind", ["TQ2_0", "TQ1_0"])
@pytest.mark.parametrize("mode", [Mode(), Mode("channel", fit="survivors"), Mode("group", 256, threshold=0.7)])
def test_ternary_types(tmp_path: Path, mode: Mode, kind: Any) -> None:
    model = small.llama()
    convert(model, ["model.layers.0.self_attn.v_proj", "model.layers.1.mlp.down_proj"], mode)
    convert(model, lambda name, _: "layers.1" in name and "down" not in name, mode)
    found = parity(tmp_path, model, Types("F32", kind, "Q8_0"))
    assert not found.wrong
    assert found.content.relative < EXACT / 10
    assert found.arithmetic.relative < found.model.relative < CLOSE


def test_one_product_of_llama_cpp_is_the_reference_but_for_float32(tmp_path: Path) -> None:
    """With one layer there are few inputs that rounding could send the other way: so all of it must be equal."""
    model = small.llama(num_hidden_layers=1)
    convert(model, ["model.layers.0.self_attn.v_proj"])
    found = parity(tmp_path, model, Types("F32", embeddings="F32"))
    assert found.arithmetic.relative < EXACT / 10
    assert found.floats.relative > 10 * EXACT


def test_inputs_are_rounded_in_blocks() -> None:
    x = torch.linspace(-1, 3, 512, dtype=torch.float64)[None]
    for rounding, width in ((q8_k, 256), (q8_0, 32)):
        off = (rounding(x) - x).abs().view(-1, width)
        largest = x.abs().view(-1, width).amax(-1, keepdim=True)
        assert bool((off <= largest / 220).all())
        assert not rounding(torch.zeros(1, 512)).any()
    assert bool((q8_k(x) != q8_0(x)).any())


Break = Callable[[pytest.MonkeyPatch], object]


def tensors(change: Callable[[Weight, Weight], Weight]) -> Break:
    """`change(as it should be in the file, as it is in the model)`."""
    right = writer.in_file_order
    return lambda patch: patch.setattr(writer, "in_file_order", lambda w, config: change(right(w, config), w))


def one(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Break:
    return tensors(lambda right, _: replace(right, value=change(right.value)) if name in right.name else right)


def setting(name: str, value: object) -> Break:
    def broken(patch: pytest.MonkeyPatch) -> None:
        right = writer._hyperparameters

        def written(out: Any, model: Any, types: Types) -> None:
            other = copy.deepcopy(model)
            setattr(other.config, name, value)
            right(out, other, types)

        patch.setattr(writer, "_hyperparameters", written)

    return broken


BROKEN: dict[str, Break] = {
    "no pairs": tensors(lambda _, plain: plain),
    "no pairs in one k": tensors(
        lambda right, plain: plain if "layers.1.self_attn.k_proj.w" in plain.name else right
    ),
    "no pairs in one bias": tensors(lambda right, plain: plain if "0.self_attn.q_proj.b" in plain.name else right),
    "a scale": one("layers.1.mlp.up_proj.weight", lambda w: w / 2),
    "a row": one("layers.0.mlp.gate_proj.weight", lambda w: torch.cat([-w[:1], w[1:]])),
    "two rows": one("layers.1.self_attn.v_proj.weight", lambda w: w[[1, 0, *range(2, len(w))]]),
    "a norm": one("layers.0.post_attention_layernorm", lambda w: w.flip(0)),
    "theta": setting("rope_parameters", {"rope_type": "default", "rope_theta": 5e5}),
    "epsilon": setting("rms_norm_eps", 1e-2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_wrong_anywhere_fails_by_orders(
    tmp_path: Path, ternary: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    BROKEN[name](monkeypatch)
    file = write_gguf(tmp_path / "it.gguf", ternary, small.codec(), Types("F32", embeddings="F32"))
    found = check_parity(file, ternary, small.codec(), small.PROMPTS)
    assert found.content.relative > 100 * EXACT
    with pytest.raises(DataLoss) as caught:
        require(file, found)
    assert (caught.value.reason, caught.value.field) == ("NO_PARITY", "it.gguf")
    assert "content" in caught.value.message


def with_lead(backend: Tokenizer) -> Codec:
    backend.post_processor = processors.TemplateProcessing("<|bos|> $A", special_tokens=[("<|bos|>", 0)])
    return Codec(wrap(backend))


def ours() -> Tokenizer:
    return Tokenizer.from_str(small.tokenizer().backend_tokenizer.to_str())


def as_gpt_2() -> Codec:
    backend = ours()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return Codec(wrap(backend))


def as_llama_3() -> Codec:
    from tests.unit.ggufs.test_vocabulary import split_as_llama_3

    backend = ours()
    vocabulary_of, merges = backend.get_vocab(with_added_tokens=False), vocabulary(backend).merges
    pairs = [tuple(merge.split(" ")) for merge in merges]
    backend.model = models.BPE(vocabulary_of, pairs, ignore_merges=True)
    backend.pre_tokenizer = split_as_llama_3()
    return with_lead(backend)


@pytest.mark.parametrize("make", [small.codec, lambda: with_lead(ours()), as_gpt_2, as_llama_3])
def test_token_ids(tmp_path: Path, make: Callable[[], Codec]) -> None:
    codec = make()
    found = parity(tmp_path, small.llama(num_hidden_layers=1), Types("F32", embeddings="F32"), codec)
    assert found.texts_equal == found.texts
    assert not found.wrong


OTHER_IDS: dict[str, Callable[[Vocabulary], Vocabulary]] = {
    "the rules of gpt-2": lambda v: replace(v, pre="gpt-2"),
    "no special tokens": lambda v: replace(v, special=frozenset()),
    "few merges": lambda v: replace(v, merges=v.merges[:5]),
}


@pytest.mark.parametrize("name", OTHER_IDS)
def test_other_token_ids_are_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(backend: Tokenizer) -> Vocabulary:
        return OTHER_IDS[name](vocabulary(backend))

    monkeypatch.setattr(writer, "vocabulary", broken)
    found = parity(tmp_path, small.llama(num_hidden_layers=1), Types("F32", embeddings="F32"))
    assert found.texts_equal < found.texts
    assert len(found.wrong) == 1
    assert "other token ids" in found.wrong[0]


def test_what_llama_cpp_cannot_load(tmp_path: Path, ternary: Any) -> None:
    file = write_gguf(tmp_path / "it.gguf", ternary, small.codec())
    file.write_bytes(file.read_bytes()[:-3000])
    with pytest.raises(DataLoss, match="cannot be read"):
        check_parity(file, ternary, small.codec(), small.PROMPTS)
    with pytest.raises(InvalidInput, match="no token"):
        check_parity(file, ternary, small.codec(), [""])


def test_measurements(tmp_path: Path, ternary: Any) -> None:
    found = parity(tmp_path, ternary, Types("F32", embeddings="F32"))
    measured = {one.name: one for one in found.measured("bitnet/gguf")}
    assert len(measured) == 21
    assert measured["bitnet/gguf/ids_equal"].value == 1
    assert measured["bitnet/gguf/arithmetic/kl"].value == found.arithmetic.kl
    assert measured["bitnet/gguf/model/relative"].n == found.positions
