"""Where the trajectory is, that the nearest time is found, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from agentforge.codecs.container import parse
from agentforge.codecs.decode import decode
from agentforge.codecs.decode.hyper import trajectory
from agentforge.codecs.encode import encode
from agentforge.codecs.payload import Broken, Payload, Stream
from agentforge.codecs.spec import Setting, Spec
from agentforge.codecs.write import to_bytes
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from tests.unit.codecs.test_seedlm import lost

GAUSS = Rng(0, "hyper").numpy().standard_normal((41, 31)).astype(np.float32) + np.float32(0.5)  # an odd number


def test_the_papers_path_is_a_sheared_square_grid() -> None:
    payload = encode(GAUSS, Spec("hyper", {"bits": 8, "outer": 0, "path": "slanted"}))
    places = trajectory(256, payload.settings["direction"])
    assert len(np.unique(places[:, 1])) == 16
    assert np.allclose(np.diff(np.sort(places[places[:, 1] == places[0, 1]][:, 0])), 2 / 16)
    assert np.allclose(places.mean(0), 0, atol=1e-6)
    assert np.abs(places).max() < 1


@pytest.mark.parametrize("group", [1, 2, 3])
def test_each_group_gets_the_nearest_point_of_its_class(group: int) -> None:
    payload = encode(GAUSS, Spec("hyper", {"group": group, "bits": 7, "outer": 1}))
    symbols, reach = payload.streams["symbols"].values, payload.streams["reach"].values
    nodes, centre = payload.settings["nodes"], payload.streams["centre"].values
    flat = np.concatenate([GAUSS.reshape(-1), np.full(-GAUSS.size % group, 0.5, np.float32)]).reshape(-1, group)
    whole = flat[: GAUSS.size // group]
    points = trajectory(nodes, payload.settings["direction"])[None] * reach[symbols // nodes, None, None] + centre
    found = np.square(decode(payload).reshape(-1)[: whole.size].reshape(whole.shape) - whole).sum(1)
    best = np.square(points[: len(whole)] - whole[:, None]).sum(-1).min(1)
    np.testing.assert_allclose(found, best, rtol=1e-3, atol=1e-6)
    assert {*np.unique(symbols // nodes)} == {0, 1}


def test_bits_and_an_outer_class_lose_less() -> None:
    def error(**settings: Setting) -> float:
        return lost(decode(encode(GAUSS, Spec("hyper", settings))), GAUSS)

    assert error(bits=12, outer=1) < 0.9 * error(bits=12, outer=0) < 0.1 * error(bits=8, outer=0)


def test_the_lattice_gains_what_planes_allow() -> None:
    weight = Rng(1, "flat").numpy().uniform(-1, 1, (256, 128)).astype(np.float32)
    errors = [
        lost(decode(encode(weight, Spec("hyper", {"bits": 10, "outer": 0, "path": path}))), weight)
        for path in ("lattice", "slanted")
    ]
    assert 0.95 < errors[0] / errors[1] < 0.99


def test_equal_weights() -> None:
    for value in (0.0, 3.0):
        weight = np.full((3, 3), value, np.float32)
        np.testing.assert_array_equal(decode(encode(weight, Spec("hyper"))), weight)


@pytest.mark.parametrize(
    ("name", "value"), [("group", 5), ("bits", 17), ("outer", -1), ("path", "round"), ("u", 1)]
)
def test_bad_settings_are_refused(name: str, value: Setting) -> None:
    with pytest.raises(InvalidInput, match=name):
        encode(GAUSS, Spec("hyper", {name: value}))


def test_broken_payloads() -> None:
    good = encode(GAUSS, Spec("hyper", {"bits": 7, "outer": 2}))
    symbols, levels = good.streams["symbols"]
    assert levels == 126

    def with_stream(name: str, values: np.ndarray) -> Payload:
        return good._replace(streams={**good.streams, name: Stream(values, good.streams[name].levels)})

    broken = {
        "symbol 127": with_stream("symbols", np.full_like(symbols, 127)),
        "symbols is": with_stream("symbols", symbols[1:]),
        "reach": with_stream("reach", good.streams["reach"].values[1:]),
        "missing": good._replace(streams={"symbols": good.streams["symbols"]}),
        "direction": good._replace(settings={**good.settings, "direction": [1, 0]}),
        "classes": good._replace(settings={**good.settings, "classes": 1 << 20}),
    }
    for text, payload in broken.items():
        with pytest.raises(Broken, match=text):
            decode(payload)


@pytest.mark.parametrize(
    "spec",
    [
        Spec("hyper", {"bits": 9}),
        Spec("seedlm", {"width": 9}),
        Spec("vptq", {"entries": 300, "residual": 1, "outliers": 10}),
    ],
    ids=str,
)
def test_a_file_gives_back_the_same(spec: Spec) -> None:
    weight = GAUSS[:, :24]
    payload = encode(weight, spec, gram=np.diag(np.arange(24.0)))
    found = parse(to_bytes({"w": payload})).payloads["w"]
    assert found.settings == payload.settings
    np.testing.assert_array_equal(decode(found), decode(payload))
