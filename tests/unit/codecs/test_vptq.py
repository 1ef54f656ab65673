"""Codebooks, what a gram is good for, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from agentforge.codecs.decode import decode
from agentforge.codecs.encode import encode
from agentforge.codecs.encode.kmeans import codebook
from agentforge.codecs.payload import Broken, Payload, Stream
from agentforge.codecs.spec import Spec
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from tests.unit.codecs.test_seedlm import lost

DICE = Rng(0, "vptq").numpy()
GAUSS = DICE.standard_normal((62, 48)).astype(np.float32)  # rows are filled up to 64
MIXED = DICE.standard_normal((48, 96)) * np.exp(DICE.standard_normal(48))[:, None]
GRAM = MIXED @ MIXED.T / 96
SMALL = {"entries": 16}


def output_loss(found: np.ndarray, gram: np.ndarray = GRAM) -> float:
    off = found.astype(np.float64) - GAUSS
    return float((off @ gram * off).sum())


def test_vectors_of_a_codebook_come_back_exactly() -> None:
    book = DICE.standard_normal((16, 4)).astype(np.float16).astype(np.float32)
    weight = book[DICE.integers(0, 16, (16, 40))].transpose(0, 2, 1).reshape(64, 40)
    np.testing.assert_array_equal(decode(encode(weight, Spec("vptq", SMALL))), weight)


def test_more_entries_and_a_second_codebook_lose_less() -> None:
    settings = ({"entries": 4}, {"entries": 16}, {"entries": 16, "residual": 16})
    errors = [lost(decode(encode(GAUSS, Spec("vptq", {"vector": 2, **each}))), GAUSS) for each in settings]
    assert errors[0] > 1.5 * errors[1] > 3 * errors[2]
    assert errors[1] < 0.1175 + 0.01  # of the best scalar of 2 bits


def test_a_gram_lessens_what_outputs_lose() -> None:
    plain, diagonal, whole = (
        output_loss(decode(encode(GAUSS, Spec("vptq", SMALL), gram=gram)))
        for gram in (None, np.diag(np.diagonal(GRAM)), GRAM)
    )
    assert whole < 0.9 * diagonal < 0.9 * plain


def test_outliers_are_the_columns_of_the_largest_inputs() -> None:
    payload = encode(GAUSS, Spec("vptq", {**SMALL, "outliers": 10}), gram=GRAM)
    own = payload.streams["outlier_columns"].values
    assert set(own) == set(np.argsort(-np.diagonal(GRAM))[: round(4.8)])
    assert "outlier_residual_book" in payload.streams
    found = decode(payload)
    assert lost(found[:, own], GAUSS[:, own]) < 0.5 * lost(found, GAUSS)


def test_fewer_vectors_than_entries() -> None:
    assert lost(decode(encode(GAUSS[:4, :5], Spec("vptq"))), GAUSS[:4, :5]) < 1e-6
    assert not decode(encode(np.zeros((5, 3), np.float32), Spec("vptq", SMALL))).any()


def test_weights_weigh_in_a_codebook() -> None:
    x_NV = np.array([[0.0], [1.0], [10.0], [14.0]])
    book = codebook(x_NV, np.array([1.0, 1.0, 3.0, 1.0]), 2, Rng(0, "dice").numpy())
    assert sorted(book[:, 0].tolist()) == [0.5, 11.0]


def test_same_bytes_each_time_and_others_from_other_dice() -> None:
    one, same, other = (encode(GAUSS, Spec("vptq", SMALL), rng=Rng(seed, "dice")) for seed in (0, 0, 1))
    books = [payload.streams["book"].values.tobytes() for payload in (one, same, other)]
    assert books[0] == books[1] != books[2]


@pytest.mark.parametrize(("name", "value"), [("vector", 0), ("entries", 1), ("residual", -1), ("outliers", 51)])
def test_bad_settings_are_refused(name: str, value: int) -> None:
    with pytest.raises(InvalidInput, match=name):
        encode(GAUSS, Spec("vptq", {name: value}), gram=GRAM)


def test_grams_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInput, match="gram"):
        encode(GAUSS, Spec("vptq", SMALL), gram=GRAM[1:, 1:])
    with pytest.raises(InvalidInput, match="no gram"):
        encode(GAUSS, Spec("vptq", {"outliers": 5}))


def test_broken_payloads() -> None:
    good = encode(GAUSS, Spec("vptq", {"entries": 10, "outliers": 5}), gram=GRAM)

    def with_stream(name: str, values: np.ndarray) -> Payload:
        return good._replace(streams={**good.streams, name: Stream(values, good.streams[name].levels)})

    codes, book = good.streams["codes"].values, good.streams["book"].values
    own = good.streams["outlier_columns"].values
    broken = {
        "symbol 10": with_stream("codes", np.full_like(codes, 10)),
        "codes is": with_stream("codes", codes[1:]),
        "book is": with_stream("book", book[:9]),
        "not finite": with_stream("book", book * np.float16(np.inf)),
        "does not rise": with_stream("outlier_columns", own[::-1].copy()),
        "does not belong": good._replace(streams={**good.streams, "more": Stream(book)}),
        "vector": good._replace(settings={**good.settings, "vector": 0}),
    }
    for text, payload in broken.items():
        with pytest.raises(Broken, match=text):
            decode(payload)
