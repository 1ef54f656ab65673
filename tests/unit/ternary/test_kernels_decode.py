"""The C++ runner against the PyTorch model, token by token."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput, MissingTool
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.kernels import variants
from agentforge.models.ternary.kernels.decode import Decoder
from agentforge.models.ternary.tables import quantise_table, table
from tests import pico

TOKENS = 64
VARIANTS = [name for name in variants() if name != "torch"]
TITANS: dict[str, dict[str, Any]] = {
    "two steps": {},
    "plain": {"act": False},
    "no window": {"sliding_window": None},
    "all but memory": {
        "recursion": True, "recursion_cycles": 2, "recursion_inner": 2, "persistent_tokens": 5,
        "act_steps_train": 3, "act_steps_infer": 3,
    },
    "memory": {
        "memory": True, "memory_layers": [0, 1], "memory_chunk": 8, "memory_slots": 24, "memory_init_slots": 5,
        "sliding_window": 16, "recursion": True,
    },
    "odd sizes": {"recursion": True, "act": False, "hidden_size": 36, "intermediate_size": 50, "sliding_window": 7},
}  # fmt: skip
LLAMAS: dict[str, dict[str, Any]] = {
    "llama": {"max_position_embeddings": 128},
    "shared kv": {
        "num_key_value_heads": 1, "num_attention_heads": 4, "hidden_size": 48, "tie_word_embeddings": False,
        "max_position_embeddings": 128,
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(name: str) -> Any:
    plain = pico.titan(num_hidden_layers=2, **TITANS[name]) if name in TITANS else pico.llama(**LLAMAS[name])
    return pico.with_noise(plain, 1).eval()


@torch.no_grad()
def in_bits(model: Any, bits: int) -> Any:
    """With embeddings and a head that so many bits hold. In 32 they stay as they are, which no fewer bits hold."""
    if bits == 32:
        return model
    for weight in {model.get_input_embeddings().weight, model.get_output_embeddings().weight}:
        weight.copy_(table(*quantise_table(weight, bits), tuple(weight.shape), bits))
    return model


def prompt(length: int = 20) -> Tensor:
    vocabulary = pico.tokenizer().vocab_size
    return torch.randint(0, vocabulary, (1, length), generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def compared(model: Any, decoder: Decoder, tokens: int = TOKENS) -> tuple[Tensor, bool]:
    """How far the logits are from the model's, of its largest, at each token; whether all choices agree."""
    ids, past, far, same = prompt(), None, [], True
    for _ in range(tokens):
        out = model(input_ids=ids, past_key_values=past, use_cache=True)
        expected, found, past = out.logits[0, -1], decoder.step(ids[0].tolist()), out.past_key_values
        far.append((found - expected).abs().max() / expected.abs().max())
        same = same and int(found.argmax()) == int(expected.argmax())
        ids = expected.argmax().view(1, 1)
    return torch.stack(far), same


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", [*TITANS, *LLAMAS])
def test_logits_and_greedy_tokens_are_the_models(name: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_KERNEL", variant)
    model = made(name)
    far, same = compared(model, Decoder(model, context=128))
    assert float(far.max()) < 1e-3
    assert same


@pytest.mark.parametrize(
    "variant", [*VARIANTS[:1], *(pytest.param(v, marks=pytest.mark.slow) for v in VARIANTS[1:])]
)
@pytest.mark.parametrize("name", ["plain", "all but memory", "memory", "shared kv"])
def test_ternary_too(name: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A float's last bit can turn a rounding of an activation, one of 32 here: so few tokens may differ by more."""
    monkeypatch.setenv("AGENTFORGE_KERNEL", variant)
    model = made(name)
    assert convert(model)
    far, same = compared(model, Decoder(model, context=128), 36)
    assert float(far.median()) < 1e-3
    assert float(far.max()) < 2e-2
    assert same


@pytest.mark.parametrize(("name", "bits"), [("all but memory", 8), ("memory", 32), ("llama", 4), ("llama", 32)])
def test_threads_and_chunks_change_nothing(name: str, bits: int) -> None:
    model = in_bits(made(name), bits)
    convert(model)
    ids = prompt(50)[0].tolist()
    logits = []
    for threads, chunk in ((1, 64), (2, 64), (1, 7)):
        torch.set_num_threads(threads)
        decoder = Decoder(model, context=128, chunk=chunk)
        logits.append(torch.stack([decoder.step(ids), *(decoder.step([token]) for token in ids)]))
        assert decoder.length == 100
    assert torch.equal(logits[0], logits[1])
    torch.testing.assert_close(logits[0], logits[2], rtol=1e-4, atol=1e-4)  # other slots of the window: other sums


@pytest.mark.parametrize("name", ["all but memory", "memory"])
def test_a_reset_forgets_all(name: str) -> None:
    decoder = Decoder(made(name))
    ids = prompt(60)[0].tolist()
    first = decoder.step(ids)
    assert not torch.equal(decoder.step(ids), first)
    decoder.reset()
    assert decoder.length == 0
    assert torch.equal(decoder.step(ids), first)


@pytest.mark.parametrize("name", ["memory", "llama"])
def test_greedy_gives_what_generate_gives(name: str) -> None:
    model = made(name)
    ids = prompt(40)  # of a memory: five chunks and more entries than it has slots
    with torch.no_grad():
        expected = model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None)[0, ids.shape[1] :]
    assert Decoder(model).greedy(ids[0].tolist(), 12) == expected.tolist()


@pytest.mark.parametrize("ids", [[], [-1], [10**6]])
def test_tokens_that_are_not_there(ids: list[int]) -> None:
    with pytest.raises(InvalidInput, match="no tokens, or some outside"):
        Decoder(made("plain")).step(ids)


def test_a_context_that_is_full() -> None:
    decoder = Decoder(made("llama"), context=16)
    decoder.step([1] * 16)
    with pytest.raises(InvalidInput, match="17 tokens do not fit a context of 16"):
        decoder.step([1])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: pico.llama(hidden_act="gelu"), "the activation 'gelu'"),
        (lambda: pico.llama().bfloat16(), "computes in torch.bfloat16"),
        (lambda: pico.titan().half(), "computes in torch.float16"),
    ],
)
def test_what_the_runner_would_compute_otherwise_it_refuses(model: Callable[[], Any], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        Decoder(model())
    assert refused.value.reason == "NO_RUNNER"


def test_without_kernels_there_is_no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_KERNEL", "torch")
    with pytest.raises(MissingTool, match="no kernel"):
        Decoder(made("plain"))
