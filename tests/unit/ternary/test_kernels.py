"""The integer product, exact on every kernel that this CPU has, and the layer around it."""

import pytest
import torch
from torch import Tensor, nn

from agentforge.kit.errors import InvalidInput
from agentforge.models.ternary.kernels import KernelLinear, chosen, prepare, ternary_matmul, use_kernels, variants
from agentforge.models.ternary.kernels.tiles import codes
from agentforge.models.ternary.linear import BitLinear, Mode

VARIANTS = variants()
SHAPES = [
    (1, 1, 1),
    (1, 16, 16),
    (2, 17, 15),
    (3, 33, 216),
    (4, 100, 255),
    (5, 31, 257),
    (64, 48, 96),
    (70, 129, 521),
]


@pytest.fixture(params=VARIANTS)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AGENTFORGE_KERNEL", request.param)
    assert chosen() == request.param
    return str(request.param)


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def drawn(low: int, high: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randint(low, high + 1, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int8)


def test_a_compiler_is_here_so_real_kernels_are_tested() -> None:
    assert "portable" in VARIANTS
    assert VARIANTS[-1] == "torch"


@pytest.mark.parametrize(("tokens", "rows", "columns"), SHAPES)
def test_the_product_is_exact(kernel: str, tokens: int, rows: int, columns: int) -> None:
    code_NK, x_MK = drawn(-1, 1, rows, columns), drawn(-127, 127, tokens, columns, seed=1)
    product = ternary_matmul(x_MK, prepare(code_NK))
    assert product.dtype == torch.int32
    assert torch.equal(product, x_MK.int() @ code_NK.int().t())


def test_every_number_of_tokens_is_exact(kernel: str) -> None:
    code_NK, x_MK = drawn(-1, 1, 37, 53), drawn(-127, 127, 70, 53, seed=1)
    expected, weight = x_MK.int() @ code_NK.int().t(), prepare(code_NK)
    for tokens in range(1, 71):
        assert torch.equal(ternary_matmul(x_MK[:tokens], weight), expected[:tokens])


@pytest.mark.parametrize("activation", [-128, -127, 127])
@pytest.mark.parametrize("code", [-1, 0, 1])
def test_the_largest_sums_do_not_saturate(kernel: str, activation: int, code: int) -> None:
    columns = 4111  # AVX2 adds in 16 bits for 256 columns, then again
    code_NK = torch.full((18, columns), code, dtype=torch.int8)
    x_MK = torch.full((5, columns), activation, dtype=torch.int8)
    assert torch.equal(
        ternary_matmul(x_MK, prepare(code_NK)), torch.full((5, 18), activation * code * columns, dtype=torch.int32)
    )


def test_threads_change_nothing(kernel: str) -> None:
    weight, x_MK = prepare(drawn(-1, 1, 200, 130)), drawn(-127, 127, 9, 130, seed=1)
    products = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        products.append(ternary_matmul(x_MK, weight))
    assert torch.equal(products[0], products[1])
    assert torch.equal(products[0], products[2])


def test_tokens_that_are_not_contiguous(kernel: str) -> None:
    code_NK, x_KM = drawn(-1, 1, 20, 30), drawn(-127, 127, 30, 4, seed=1)
    assert torch.equal(ternary_matmul(x_KM.t(), prepare(code_NK)), x_KM.t().int() @ code_NK.int().t())


def test_no_tokens_give_no_products(kernel: str) -> None:
    assert ternary_matmul(drawn(-1, 1, 0, 30), prepare(drawn(-1, 1, 20, 30))).shape == (0, 20)


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (17, 33), (5, 100)])
def test_preparing_loses_nothing_and_takes_two_bits(shape: tuple[int, int]) -> None:
    code_NK = drawn(-1, 1, *shape)
    prepared = prepare(code_NK)
    assert torch.equal(codes(prepared), code_NK)
    assert prepared.tiles.nbytes == -(-shape[0] // 16) * -(-shape[1] // 16) * 64


@pytest.mark.parametrize("code", [torch.full((4, 4), 2, dtype=torch.int8), torch.ones(4, dtype=torch.int8)])
def test_what_is_not_ternary_is_refused(code: Tensor) -> None:
    with pytest.raises(InvalidInput, match="no matrix of -1, 0 and 1"):
        prepare(code)


@pytest.mark.parametrize(
    "x", [torch.ones(2, 9, dtype=torch.int8), torch.ones(2, 8), torch.ones(8, dtype=torch.int8)]
)
def test_activations_of_another_shape_or_type_are_refused(x: Tensor) -> None:
    with pytest.raises(InvalidInput, match="not int8 of 8 columns"):
        ternary_matmul(x, prepare(drawn(-1, 1, 3, 8)))


def layer(bias: bool, mode: Mode, inputs: int = 80, outputs: int = 37) -> BitLinear:
    torch.manual_seed(0)
    return BitLinear(nn.Linear(inputs, outputs, bias=bias), mode)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scale", ["tensor", "channel"])
def test_the_layer_equals_bit_linear_to_the_bit(kernel: str, scale: str, bias: bool) -> None:
    bit = layer(bias, Mode(scale=scale), inputs=75)  # type: ignore[arg-type]
    x = torch.randn(3, 5, 75) * 4
    x[0, 0] = 0
    with torch.no_grad():
        assert torch.equal(KernelLinear(bit)(x), bit(x))


@pytest.mark.parametrize("mode", [Mode(norm=True), Mode("group", 16), Mode("group", 32, norm=True)])
def test_a_layer_whose_floats_are_summed_in_another_order_is_near(kernel: str, mode: Mode) -> None:
    bit, x = layer(True, mode, inputs=96), torch.randn(7, 96)
    with torch.no_grad():
        torch.testing.assert_close(KernelLinear(bit)(x), bit(x), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so_and_in_its_token(kernel: str, wrong: float) -> None:
    bit, x = KernelLinear(layer(False, Mode())), torch.randn(3, 80)
    with torch.no_grad():
        whole = bit(x)
        x[1, 7] = wrong
        spoilt = bit(x)
    assert not spoilt[1].isfinite().any()
    assert torch.equal(spoilt[::2], whole[::2])


def test_groups_that_no_kernel_computes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="multiples of 16"):
        KernelLinear(layer(False, Mode("group", 8)))


def test_a_model_computes_by_kernel_from_then_on(kernel: str) -> None:
    model = nn.Sequential(layer(False, Mode()), nn.SiLU(), layer(True, Mode("channel"), 37, 20))
    x = torch.randn(2, 80)
    with torch.no_grad():
        before = model(x)
        assert use_kernels(model) == ["0", "2"]
        assert torch.equal(model(x), before)
    assert all(isinstance(model[place], KernelLinear) for place in (0, 2))
