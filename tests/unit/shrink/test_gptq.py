"""GPTQ against rounding to nearest and against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from agentforge.codecs.decode import decode
from agentforge.codecs.encode import encode
from agentforge.codecs.encode.gptq import gptq_codes, inverse_factor
from agentforge.codecs.spec import Spec
from agentforge.kit.errors import InvalidInput
from tests.unit.shrink.toys import correlated, gauss, output_lost

GRAM, W = correlated(192), gauss(48, 192)  # more columns than a block has


@pytest.mark.parametrize(("bits", "share"), [(4, 0.5), (3, 0.5), (2, 0.6)])
def test_outputs_lose_less_than_by_rounding_to_nearest(bits: int, share: float) -> None:
    told = {"bits": bits, "group": 64}
    nearest = output_lost(decode(encode(W, Spec("grid", told | {"fit": "mse"}))), W, GRAM)
    second = output_lost(decode(encode(W, Spec("grid", told | {"fit": "gptq"}), gram=GRAM)), W, GRAM)
    assert second < share * nearest


def test_columns_are_settled_as_the_inverse_says() -> None:
    """Optimal brain surgery by its definition: a new inverse of what is left after every column."""
    w, scale, zero, left = W[:4, :8].astype(np.float64), 0.7, 4.0, list(range(8))
    damped = GRAM[:8, :8] + 0.01 * np.diagonal(GRAM[:8, :8]).mean() * np.eye(8)
    wanted = np.empty((4, 8))
    while left:
        inverse = np.linalg.inv(damped[np.ix_(left, left)])
        wanted[:, left[0]] = np.clip(np.rint(w[:, left[0]] / scale + zero), 0, 7)
        error = w[:, left[0]] - (wanted[:, left[0]] - zero) * scale
        w[:, left] -= np.outer(error / inverse[0, 0], inverse[0])
        left = left[1:]
    made = gptq_codes(W[:4, :8], np.array(scale), np.array(zero), 8, GRAM[:8, :8], act_order=False)
    assert np.array_equal(made, wanted)


def test_independent_inputs_are_rounded_to_nearest() -> None:
    gram = np.diag(np.linspace(3, 0, 192))  # the last was never heard
    one, other = Spec("grid", {"fit": "gptq", "bits": 3}), Spec("grid", {"fit": "mse", "bits": 3})
    assert np.array_equal(decode(encode(W, one, gram=gram)), decode(encode(W, other)))


def test_a_gram_of_too_few_tokens_is_enough() -> None:
    few = gauss(3, 192)
    gram = (few.T @ few).astype(np.float64)
    assert np.isfinite(inverse_factor(gram, 0.01)).all()
    found = decode(encode(W, Spec("grid", {"fit": "gptq", "bits": 3}), gram=gram))
    assert output_lost(found, W, gram) < 0.01


@pytest.mark.parametrize("gram", [None, np.eye(3)])
def test_without_its_gram_it_is_refused(gram: np.ndarray | None) -> None:
    with pytest.raises(InvalidInput, match=r"gptq.*gram"):
        encode(W, Spec("grid", {"fit": "gptq"}), gram=gram)
