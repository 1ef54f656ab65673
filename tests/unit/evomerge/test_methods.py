"""What holds for every merge method, and the table that they are in."""

import subprocess
import sys

import pytest
import torch

from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.methods import METHODS, method
from agentforge.phase2_evomerge.methods.base import check_finite
from tests.unit.evomerge.tensors import close, normal, same_bits, sources, vector

EVERY = pytest.mark.parametrize("name", METHODS)


def test_a_wrong_name_is_answered_with_a_near_one() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'slerp'") as caught:
        method("slrp")
    assert caught.value.reason == "UNKNOWN_METHOD"
    assert method("slerp") is METHODS["slerp"]


def test_the_table_is_read_without_torch() -> None:
    """Command line and service parents read names and options only."""
    code = "import sys, agentforge.phase2_evomerge.methods; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@EVERY
def test_every_option_has_a_description_and_a_default(name: str) -> None:
    options = method(name).Options
    assert all(field.description for field in options.model_fields.values())
    assert options() == validate_config(options, {})


@EVERY
def test_one_model_twice_is_that_model(name: str) -> None:
    """θ = 0, and differences of zero."""
    model = normal(0, 5, 7)
    merged = method(name).merge(sources(model, model, base=model), method(name).Options())
    close(merged, model)


@EVERY
def test_no_input_is_changed_and_the_layout_of_memory_does_not_matter(name: str) -> None:
    """Parents and base as transposed views; longer than one chunk of the sums, and not a multiple of it."""
    inputs = [normal(seed, 301, 220).t() for seed in range(3)]
    before = [each.clone() for each in inputs]
    one, other, base = inputs
    options = method(name).Options()
    merged = method(name).merge(sources(one, other, base=base), options)
    assert all(same_bits(a, b) for a, b in zip(inputs, before, strict=True))
    assert merged.dtype == torch.float32
    assert merged.shape == one.shape
    one, other, base = (each.contiguous() for each in inputs)
    assert same_bits(merged, method(name).merge(sources(one, other, base=base), options))


@EVERY
@pytest.mark.parametrize("shape", [(), (0,), (1,)])
def test_scalars_and_empty_tensors(name: str, shape: tuple[int, ...]) -> None:
    one, other = torch.full(shape, 1.0), torch.full(shape, 3.0)
    options = method(name).Options(**({"drop": 0.0} if name == "dare" else {}))
    merged = method(name).merge(sources(one, other, base=torch.zeros(shape)), options)
    close(merged, torch.full(shape, 4.0 if name == "task_arithmetic" else 2.0))


@EVERY
def test_a_missing_base_is_refused_where_one_is_needed(name: str) -> None:
    parents = sources(vector(1.0), vector(2.0))
    if not method(name).needs_base:
        close(method(name).merge(parents, method(name).Options()), [1.5])
        return
    with pytest.raises(InvalidInput) as caught:
        method(name).merge(parents, method(name).Options())
    assert caught.value.reason == "BASE_REQUIRED"


@pytest.mark.parametrize("name", [name for name in METHODS if name != "slerp"])
def test_weights_must_be_as_many_as_parents(name: str) -> None:
    parents = sources(vector(1.0), vector(2.0), base=vector(0.0))
    with pytest.raises(InvalidInput, match="3 weights were given for 2 parents") as caught:
        method(name).merge(parents, method(name).Options(weights=(1.0, 1.0, 1.0)))
    assert caught.value.reason == "WEIGHT_COUNT"


@pytest.mark.parametrize(
    ("name", "wrong", "field"),
    [
        ("linear", {"weights": [1.0, -1.0]}, "weights"),  # normalised, and they sum to zero
        ("ties", {"weights": [1.0, -0.5]}, "weights[1]"),
        ("dare", {"weights": [1.0, -0.5]}, "weights[1]"),
        ("ties", {"density": 0.0}, "density"),
        ("ties", {"density": 1.1}, "density"),
        ("dare", {"drop": 1.0}, "drop"),
        ("dare", {"lam": -1.0}, "lam"),
        ("slerp", {"t": 1.5}, "t"),
        ("slerp", {"eps": 0.0}, "eps"),
    ],
)
def test_options_out_of_bounds_are_refused_by_name(name: str, wrong: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_config(method(name).Options, wrong)
    assert caught.value.field == field


@pytest.mark.parametrize(("bad", "kind"), [(float("nan"), "NaN"), (float("inf"), "Inf"), (float("-inf"), "Inf")])
def test_nan_and_inf_are_refused_by_tensor_and_parent(bad: float, kind: str) -> None:
    good = torch.tensor([3e38, -3e38, 0.0])  # a check by the sum of squares would call these infinite
    check_finite("layers.0.w", (good, torch.empty(0)))
    with pytest.raises(InvalidInput, match=f"'layers.0.w' of parent 2 of 2 holds {kind}") as caught:
        check_finite("layers.0.w", (good, vector(1.0, bad, 2.0)))
    assert (caught.value.reason, caught.value.field) == ("NOT_FINITE", "layers.0.w")
    with pytest.raises(InvalidInput, match="of base 1 of 1"):
        check_finite("w", (vector(bad),), role="base")
