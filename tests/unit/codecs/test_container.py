"""The file: what was written comes back; a changed bit, a cut and a hostile header do not get through."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentforge.codecs.container import MAGIC, VERSION, parse, read
from agentforge.codecs.payload import Broken, Payload, Stream
from agentforge.codecs.write import to_bytes, write
from agentforge.kit.errors import InvalidInput

RNG = np.random.default_rng(3)
CODES = RNG.integers(0, 3, (40, 50), np.uint8)
STREAMS = {
    "trits": Stream(CODES, 3),
    "skewed": Stream((CODES == 0).astype(np.uint8) * CODES.T.reshape(40, 50), 16),
    "wide": Stream(RNG.integers(0, 4000, 70).astype(np.uint16), 4096),
    "scales": Stream(RNG.normal(1, 0.1, (40, 60)).astype("<f2")),
    "counts": Stream(np.array([-(2**60), 7], "<i8")),
    "mask": Stream(np.array([True, False, True])),
    "one": Stream(np.float64(0.1) * np.ones(())),
    "none": Stream(np.zeros((0, 4), np.uint8), 5),
}
PAYLOADS = {"a.weight": Payload("toy", (40, 50), {"group": 4}, STREAMS), "b": Payload("toy", (), {}, {})}


def signed(header: Any, body: bytes = b"", version: int = VERSION, inflated: int | None = None) -> bytes:
    """A file as a spiteful hand could make it, with a digest that is right."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    packed = zlib.compress(text)
    lengths = len(packed).to_bytes(4, "little") + (len(text) if inflated is None else inflated).to_bytes(
        4, "little"
    )
    whole = MAGIC + bytes([version]) + lengths + packed + body
    return whole + hashlib.sha256(whole).digest()


@pytest.mark.parametrize("entropy", [True, False])
def test_all_comes_back_in_type_shape_and_value(tmp_path: Path, entropy: bool) -> None:
    forge = read(write(tmp_path / "model.forge", PAYLOADS, {"by": "test"}, entropy=entropy))
    assert forge.metadata == {"by": "test"}
    assert [(n, p.codec, p.shape, p.settings) for n, p in forge.payloads.items()] == [
        ("a.weight", "toy", (40, 50), {"group": 4}), ("b", "toy", (), {}),
    ]  # fmt: skip
    for name, stream in STREAMS.items():
        found = forge.payloads["a.weight"].streams[name]
        assert (found.levels, found.values.dtype, found.values.shape) == (
            stream.levels, stream.values.dtype, stream.values.shape,
        )  # fmt: skip
        assert np.array_equal(found.values, stream.values)
    assert forge.file == (tmp_path / "model.forge").stat().st_size
    assert forge.file == forge.header + sum(forge.by_tensor().values())
    assert sum(forge.by_coding().values()) == forge.by_tensor()["a.weight"]


def test_each_stream_takes_the_coding_of_the_fewest_bytes() -> None:
    told = {each.stream: (each.coding, each.bytes) for each in parse(to_bytes(PAYLOADS)).sizes}
    assert told["skewed"][0] == "rans"
    assert told["scales"][0] == "planes"
    assert told["scales"][1] < 2 * 40 * 60
    assert told["wide"] == ("bits", 105)
    plain = {each.stream: (each.coding, each.bytes) for each in parse(to_bytes(PAYLOADS, entropy=False)).sizes}
    assert plain["trits"] == ("trits", 400)
    assert plain["skewed"] == ("bits", 1000)
    assert plain["scales"] == ("raw", 4800)


def test_the_same_payloads_give_the_same_bytes_in_any_order() -> None:
    assert to_bytes(dict(reversed(PAYLOADS.items()))) == to_bytes(PAYLOADS)


def test_every_flipped_byte_and_every_cut_is_refused() -> None:
    whole = to_bytes(PAYLOADS)
    for at in {*range(0, len(whole), 7), *range(24), *range(len(whole) - 40, len(whole))}:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        for broken in (bytes(flipped), whole[:at], whole + whole[:at] if at else whole + b"\0"):
            with pytest.raises(Broken):
                parse(broken)


def entry(*streams: Any, shape: Any = (4,), name: Any = "w", settings: Any = None) -> list[Any]:
    return [name, "toy", list(shape) if isinstance(shape, tuple) else shape, settings or {}, list(streams)]


RAW = ["s", "|u1", 0, 0, "raw", 4]
SPITE: dict[str, tuple[Any, bytes, str]] = {
    "another version": ({"m": {}, "t": []}, b"", "version 2"),
    "no json": (b"\xff{", b"", "header"),
    "deep json": (b"[" * 99_999, b"", "header"),
    "no object": ([], b"", "header"),
    "bytes too many": ({"m": {}, "t": [entry(RAW)]}, b"12345", "1 behind"),
    "bytes too few": ({"m": {}, "t": [entry(RAW)]}, b"123", r"w: stream s: its 4 bytes"),
    "bytes below 0": ({"m": {}, "t": [entry([*RAW[:5], -4])]}, b"", r"w: stream s: its -4 bytes"),
    "another length": ({"m": {}, "t": [entry(RAW, shape=(5,))]}, b"1234", "w: stream s: 5 numbers"),
    "twice": ({"m": {}, "t": [entry(RAW), entry(RAW)]}, b"12341234", "w: it comes twice"),
    "stream twice": ({"m": {}, "t": [entry(RAW, RAW)]}, b"12341234", "w: stream s comes twice"),
    "a coding": ({"m": {}, "t": [entry([*RAW[:4], "zstd", 4])]}, b"1234", "w: stream s: coding 'zstd'"),
    "a type": ({"m": {}, "t": [entry(["s", "|O", 0, 0, "raw", 4])]}, b"1234", "w: stream s is of no type"),
    "a symbol": ({"m": {}, "t": [entry(["s", "|u1", 0, 3, "raw", 4])]}, b"\0\1\2\3", "w: stream s holds a symbol"),
    "a truth": ({"m": {}, "t": [entry(["s", "|b1", 0, 0, "raw", 4])]}, b"\0\1\2\1", "w: stream s: a truth"),
    "symbols of floats": ({"m": {}, "t": [entry(["s", "<f4", 0, 3, "raw", 16])]}, b"0" * 16, "symbols are of type"),
    "huge": ({"m": {}, "t": [entry(shape=(1 << 40,))]}, b"", "w: shape"),
    "huge by many axes": ({"m": {}, "t": [entry(shape=(1 << 10,) * 4)]}, b"", "w: shape"),
    "huge stream": ({"m": {}, "t": [entry(["s", "|u1", [1 << 40], 3, "rans", 0])]}, b"", "w: stream s: shape"),
    "many large": ({"m": {}, "t": [entry(name=f"{n:02}", shape=(1 << 19,)) for n in range(9)]}, b"", "shape"),
    "many axes": ({"m": {}, "t": [entry(shape=(1,) * 9)]}, b"", "w: .* no shape"),
    "no number": ({"m": {}, "t": [entry(shape=(True,))]}, b"", "w: .* no shape"),
    "a plane": ({"m": {}, "t": [entry(["s", "<f2", 0, 0, "planes", 8])]}, b"\0" * 8, "w: stream s: a plane"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPITE)
def test_a_hostile_header_is_refused_by_name_and_takes_no_memory(case: str) -> None:
    header, body, told = SPITE[case]
    data = signed(header, body, VERSION + (case == "another version"))
    tracemalloc.start()
    with pytest.raises(Broken, match=told):
        parse(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


def test_a_header_that_inflates_without_end_is_refused() -> None:
    data = signed(b" " * 30_000_000, inflated=100)
    tracemalloc.start()
    with pytest.raises(Broken, match="not as long"):
        parse(data)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def spoilt(values: np.ndarray, levels: int) -> Callable[[], bytes]:
    return lambda: to_bytes({"w": Payload("toy", (2,), {}, {"s": Stream(values, levels)})})


def test_what_cannot_be_read_is_not_written() -> None:
    with pytest.raises(ValueError, match="w: a symbol is 3 of 3"):
        spoilt(np.array([0, 3], np.uint8), 3)()
    with pytest.raises(ValueError, match="w: symbols of 3 levels are no float32"):
        spoilt(np.zeros(2, np.float32), 3)()
    with pytest.raises(InvalidInput, match="hostile"):
        spoilt(np.zeros(2_000_000, np.uint8), 2)()
