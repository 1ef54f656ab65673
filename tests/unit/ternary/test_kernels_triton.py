"""The GPU's kernel: its source interpreted on any CPU, compiled for GPUs that are not here, and run where one is.

Triton decides at its import whether it interprets, so the interpreter is a process of its own.
"""

import importlib.util
import logging
import multiprocessing
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.kernels import product, use_kernels
from agentforge.models.ternary.linear import BitLinear, Mode, ternary_layers
from agentforge.models.ternary.packed_linear import PackedLinear
from tests import pico

HERE = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not HERE, reason="triton is not installed")
needs_gpu = pytest.mark.skipif(not (HERE and torch.cuda.is_available()), reason="no GPU with triton here")
AMPERE = (8, 0)
Run = Callable[..., None]


@pytest.fixture(scope="module")
def interpreter() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as process:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_INTERPRET", "1")
            process.submit(torch.get_num_threads).result()  # starts it; this process is to compile
        yield process


@pytest.fixture(params=[pytest.param("cpu", marks=needs_triton), pytest.param("cuda", marks=needs_gpu)])
def run(request: pytest.FixtureRequest) -> Run:
    """Does a check on this device: interpreted on a CPU, or as it is on a GPU."""
    if request.param == "cuda":
        return lambda check, *args: check("cuda", *args)
    process = request.getfixturevalue("interpreter")
    return lambda check, *args: process.submit(check, "cpu", *args).result()


def by_triton(layer: Any, device: str) -> Any:
    from agentforge.models.ternary.kernels.triton_product import INTERPRETED, TritonLinear

    assert (device == "cpu") == INTERPRETED
    return TritonLinear(layer.codes(), layer.scales(), layer.bias, layer.mode).to(device)


def made(mode: Mode, inputs: int, outputs: int, bias: bool = True) -> BitLinear:
    torch.manual_seed(inputs)
    return BitLinear(nn.Linear(inputs, outputs, bias=bias), mode)


def integers_are_exact(device: str, tokens: int, rows: int, columns: int, low: int, high: int) -> None:
    """A largest activation of 127 makes the token's scale 1, so what comes out are the sums themselves."""
    codes = torch.Generator().manual_seed(tokens)
    code_NK = torch.randint(-1, 2, (rows, columns), generator=codes, dtype=torch.int8)
    x_MK = torch.randint(low, high + 1, (tokens, columns), generator=codes)
    x_MK[:, 0] = 127
    layer = PackedLinear(code_NK, torch.ones(1, 1), None, Mode())
    y_MN = by_triton(layer, device)(x_MK.float().to(device)).cpu()
    assert torch.equal(y_MN.to(torch.int64), x_MK @ code_NK.long().t())


@pytest.mark.parametrize("tokens", [1, 2, 17, 70])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (17, 15), (129, 265), (260, 96)])
def test_the_integer_product_is_exact(run: Run, tokens: int, rows: int, columns: int) -> None:
    run(integers_are_exact, tokens, rows, columns, -127, 127)


@pytest.mark.parametrize("tokens", [1, 3])
def test_the_largest_sums_are_exact(run: Run, tokens: int) -> None:
    run(integers_are_exact, tokens, 5, 4100, 127, 127)


def equals_bit_linear(device: str, mode: Mode, bias: bool, tokens: int, kind: torch.dtype) -> None:
    bit = made(mode, 75, 37, bias).to(device, kind)
    x = (torch.randn(tokens, 75) * 4).to(device, kind)
    x[0] = 0 if tokens > 1 else x[0]
    with torch.no_grad():
        y = by_triton(bit, device)(x)
        assert y.dtype == kind
        assert torch.equal(y, bit(x))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 6])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("mode", [Mode(), Mode("channel"), Mode("channel", norm=True)])
def test_the_layer_equals_bit_linear_to_the_bit(
    run: Run, mode: Mode, bias: bool, tokens: int, kind: torch.dtype
) -> None:
    run(equals_bit_linear, mode, bias, tokens, kind)


def is_near_bit_linear(device: str, mode: Mode, tokens: int) -> None:
    bit = made(mode, 192, 37).to(device)
    x = torch.randn(tokens, 192, device=device)
    with torch.no_grad():
        torch.testing.assert_close(by_triton(bit, device)(x), bit(x), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("tokens", [1, 20])
@pytest.mark.parametrize("group", [32, 64, 96])
def test_groups_are_near(run: Run, group: int, tokens: int) -> None:
    run(is_near_bit_linear, Mode("group", group), tokens)


def what_is_not_finite_stays_so(device: str, wrong: float) -> None:
    layer = by_triton(made(Mode(), 80, 37), device)
    x = torch.randn(3, 80, device=device)
    whole = layer(x)
    x[1, 7] = wrong
    spoilt = layer(x)
    assert not spoilt[1].isfinite().any()
    assert torch.equal(spoilt[::2], whole[::2])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so_and_in_its_token(run: Run, wrong: float) -> None:
    run(what_is_not_finite_stays_so, wrong)


def shapes_are_kept(device: str) -> None:
    bit = made(Mode("channel"), 40, 11).to(device)
    layer = by_triton(bit, device)
    assert layer(torch.ones(0, 40, device=device)).shape == (0, 11)
    x = torch.randn(40, 2, 3, device=device).permute(2, 1, 0)  # not contiguous
    with torch.no_grad():
        assert torch.equal(layer(x), bit(x))


def test_no_tokens_and_tokens_that_are_not_contiguous(run: Run) -> None:
    run(shapes_are_kept)


def a_model_speaks_the_same(device: str) -> None:
    model = pico.llama(attention_bias=True, num_hidden_layers=1).eval().to(device)
    convert(model, mode=Mode("channel"))
    prompt, token = torch.arange(1, 8, device=device)[None], torch.tensor([[9]], device=device)
    before = said(model, prompt, token)
    for name, layer in ternary_layers(model).items():
        model.set_submodule(name, by_triton(layer, device))
    assert torch.equal(said(model, prompt, token), before)


@torch.no_grad()
def said(model: Any, prompt: Tensor, token: Tensor) -> Tensor:
    first = model(input_ids=prompt, use_cache=True)
    next_one = model(input_ids=token, past_key_values=first.past_key_values)
    return torch.cat((first.logits, next_one.logits), 1)


@pytest.mark.slow
def test_a_model_speaks_as_before_to_the_bit(run: Run) -> None:
    run(a_model_speaks_the_same)


TARGETS = {
    "cuda 80": ("cuda", 80, 32, "ptx", "mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32"),
    "cuda 90": ("cuda", 90, 32, "ptx", "wgmma.mma_async.sync.aligned.m64n16k32.s32.s8.s8"),
    "hip gfx942": ("hip", "gfx942", 64, "amdgcn", r"v_mfma_i32_\w+_i8"),
}
POINTERS = {"x_MK": "*i8", "packed_RK": "*u8"} | dict.fromkeys(("scale_NG", "token_M", "bias_N", "y_MN"), "*fp32")


def assembly(target: str, tokens: int) -> str:
    """As it would be compiled on the first call with 1,024 inputs; for CUDA down to the machine's code."""
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from agentforge.models.ternary.kernels.triton_product import block_sizes, ternary_product

    ones = {"tokens": 1, "scale_step": 1} if tokens == 1 else {}  # Triton makes constants of what is 1
    constants = {"GROUP": 0, **block_sizes(tokens, 1024, 0), **ones}
    sizes = dict.fromkeys(("tokens", "rows", "stripe", "columns", "scale_step"), "i32")
    signature = POINTERS | sizes | dict.fromkeys(constants, "constexpr")
    aligned = {(place,): [["tt.divisibility", 16]] for place in (*range(len(POINTERS)), 9)}
    backend, arch, warp, stage, _ = TARGETS[target]
    source = ASTSource(ternary_product, signature, constants, aligned)
    made = compile(source, target=GPUTarget(backend, arch, warp), options={"enable_fp_fusion": False})
    assert made.asm["cubin" if backend == "cuda" else "hsaco"]
    return str(made.asm[stage])


@pytest.fixture
def _no_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


@needs_triton
@pytest.mark.usefixtures("_no_cache")
@pytest.mark.parametrize("target", TARGETS)
def test_it_compiles_to_integer_matrix_instructions(target: str) -> None:
    assert re.search(TARGETS[target][-1], assembly(target, 16))


@needs_triton
@pytest.mark.usefixtures("_no_cache")
def test_one_token_needs_no_matrix_instruction_and_floats_round_twice() -> None:
    code = assembly("cuda 80", 1)
    assert "mma" not in code
    assert "mul.rn.f32" in code
    assert "fma" not in code


@needs_triton
def test_which_layer_a_gpu_gets(caplog: pytest.LogCaptureFixture) -> None:
    product.on_gpu.cache_clear()
    assert product.on_gpu((9, 0)).__name__ == "TritonLinear"
    assert product.on_gpu(AMPERE, "avx2").__name__ == "TritonLinear"
    assert product.on_gpu(AMPERE, "torch") is PackedLinear
    assert not caplog.records
    assert product.on_gpu((7, 5)) is PackedLinear
    assert "plain torch: int8 in Triton takes compute capability (8, 0), not (7, 5)" in caplog.text


def test_without_triton_a_gpu_computes_in_plain_torch_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "agentforge.models.ternary.kernels.triton_product", raising=False)
    product.on_gpu.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert [product.on_gpu((9, 0)) for _ in range(3)] == [PackedLinear] * 3
    product.on_gpu.cache_clear()
    assert len(caplog.records) == 1
    assert "in plain torch" in caplog.text
    assert "triton" in caplog.text


@needs_gpu
class TestOnAGpu:
    """What only a GPU has; every `run` above runs there too."""

    def test_use_kernels_takes_triton(self) -> None:
        model = nn.Sequential(made(Mode(), 80, 37), nn.SiLU(), made(Mode("channel"), 37, 20)).cuda()
        x = torch.randn(2, 80, device="cuda")
        with torch.no_grad():
            before = model(x)
            assert use_kernels(model) == ["0", "2"]
            assert torch.equal(model(x), before)
        assert {type(model[place]).__name__ for place in (0, 2)} == {"TritonLinear"}

    def test_groups_that_it_does_not_compute_are_refused(self) -> None:
        with pytest.raises(InvalidInput, match="multiples of 32"):
            use_kernels(nn.Sequential(made(Mode("group", 16), 80, 37)).cuda())

    def test_moved_to_a_cpu_it_still_computes(self) -> None:
        bit, x = made(Mode("channel"), 40, 11), torch.randn(2, 40)
        with torch.no_grad():
            assert torch.equal(by_triton(bit, "cuda").cpu()(x), bit(x))
