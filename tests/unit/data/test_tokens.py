from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentforge.data.codec import Codec
from agentforge.data.prepare import load_tokens, prepare_tokens
from agentforge.data.quality import Cleaner, QualityConfig
from agentforge.data.rows import TokenRows
from agentforge.data.splits import Split
from agentforge.data.tokenizer import train_tokenizer
from agentforge.data.tokens import OpenShards, TokenShards, Windows, token_files
from agentforge.kit.errors import DataLoss, FailedPrecondition, ForgeError, InvalidInput, NotFound
from tests.unit.data.helpers import ListSource, story, tiny_codec

h5py = pytest.importorskip("h5py")

CODEC = tiny_codec()
TOKENS = np.arange(1000) % 500


def write(root: Path) -> None:
    np.save(root / "a.npy", TOKENS[:300].astype(np.int32))
    TOKENS[300:700].astype("<u2").tofile(root / "b.bin")
    with h5py.File(root / "c.h5", "w") as file:
        file["tokens"] = TOKENS[700:900]
    (root / "d.pkl").write_bytes(pickle.dumps(TOKENS[900:].astype(np.int64)))


def test_all_formats_make_one_sequence_with_few_files_open(tmp_path: Path) -> None:
    write(tmp_path)
    shards = token_files([Path()], tmp_path, allow_pickle=True)
    assert len(shards) == 1000
    few = TokenShards(shards.files, name="few", shards=OpenShards(1, allow_pickle=True))
    rng = np.random.default_rng(0)
    for start in rng.integers(0, 900, 50).tolist():
        stop = start + int(rng.integers(1, 100))
        assert np.array_equal(few.read(start, stop), TOKENS[start:stop])
    assert len(few._shards._open) == 1


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    span=st.tuples(st.integers(0, 30), st.integers(1, 30)),
)
def test_reads_cross_shards(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], span: tuple[int, int]
) -> None:
    root = tmp_path_factory.mktemp("shards")
    whole = np.arange(sum(sizes))
    for place, part in enumerate(np.split(whole, np.cumsum(sizes)[:-1])):
        np.save(root / f"{place}.npy", part)
    start = span[0] % len(whole)
    stop = min(start + span[1], len(whole))
    assert np.array_equal(token_files([Path()], root).read(start, stop), whole[start:stop])


def test_rows_come_once_per_epoch(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(500, dtype=np.uint16))
    rows = TokenRows(token_files([Path("a.npy")], tmp_path), 48, seed=0, vocabulary=500)
    epochs = [[int(rows.row(epoch * 10 + place).ids[0]) for place in range(10)] for epoch in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [48 * place for place in range(10)]
    assert epochs[0] != epochs[1]


def test_token_files_are_split_by_block(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(4096 * 100, dtype=np.int32))
    tokens = token_files([Path("a.npy")], tmp_path)
    seen = {split: Windows(tokens, 1000, split) for split in Split}
    starts = {s: {int(w.read(n)[0]) // 4096 for n in range(len(w))} for s, w in seen.items()}
    assert sum(map(len, starts.values())) == len(set().union(*starts.values())) == 100
    for windows in seen.values():
        for number in range(len(windows)):
            ids = windows.read(number)
            assert ids[0] // 4096 == ids[-1] // 4096


def test_prepared_tokens_are_split_cleaned_and_checked(tmp_path: Path) -> None:
    texts = [story(number) for number in range(200)]
    source = ListSource([*texts, *texts[:5], "short"])
    manifest = prepare_tokens([source], CODEC, tmp_path, cleaner=Cleaner(QualityConfig()), shard_tokens=3_000)
    assert manifest["cleaning"]["kept"] == 200
    assert manifest["cleaning"]["exact_duplicate"] == 5
    found = []
    for split in Split:
        shards = load_tokens(tmp_path, split, CODEC)
        assert len(shards) == manifest["splits"][split]["tokens"]
        found += CODEC.text(shards.read(0, len(shards)).tolist()).split("<|eos|>")[:-1]
    assert sorted(found) == sorted(texts)
    assert len(manifest["splits"]["train"]["shards"]) > 2


def test_prepared_tokens_refuse_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"has no tokens\.json"):
        load_tokens(tmp_path, Split.TRAIN, CODEC)
    prepare_tokens([ListSource([story(number) for number in range(30)])], CODEC, tmp_path)
    other = Codec(train_tokenizer(map(story, range(40)), 300))
    with pytest.raises(FailedPrecondition) as mismatch:
        load_tokens(tmp_path, Split.TRAIN, other)
    assert mismatch.value.reason == "TOKENIZER_MISMATCH"
    shard = tmp_path / "train" / "shard-00000.npy"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataLoss, match=r"shard-00000\.npy has changed or is cut short"):
        load_tokens(tmp_path, Split.TRAIN, CODEC)
    shard.unlink()
    with pytest.raises(DataLoss, match="is missing"):
        load_tokens(tmp_path, Split.TRAIN, CODEC)
    with pytest.raises(InvalidInput) as empty:
        prepare_tokens([ListSource(["x"])], CODEC, tmp_path, cleaner=Cleaner(QualityConfig()))
    assert empty.value.reason == "EMPTY_CORPUS"
    with pytest.raises(NotFound):  # the failed attempt left nothing that looks whole
        load_tokens(tmp_path, Split.TRAIN, CODEC)


def read_all(root: Path) -> None:
    rows = TokenRows(token_files([Path()], root), 8, seed=0, vocabulary=400)
    for number in range(len(rows.windows)):
        rows.row(number)


def _save(root: Path, array: Any) -> Path:
    np.save(root / "x.npy", array)
    return root / "x.npy"


def _cut(root: Path) -> None:
    path = _save(root, TOKENS)
    path.write_bytes(path.read_bytes()[:-10])


def _hdf5(root: Path, name: str, shape: tuple[int, ...]) -> None:
    with h5py.File(root / "x.h5", "w") as file:
        file[name] = np.zeros(shape, np.int64)


@pytest.mark.parametrize(
    ("make", "kind", "reason"),
    [
        (lambda root: _save(root, np.zeros((3, 4), np.int64)), InvalidInput, "WRONG_SHAPE"),
        (lambda root: _save(root, np.zeros(9)), InvalidInput, "WRONG_SHAPE"),
        (lambda root: _save(root, np.array([{}], object)), DataLoss, "BROKEN_FILE"),
        (_cut, DataLoss, "BROKEN_FILE"),
        (lambda root: (root / "x.bin").write_bytes(b"abc"), DataLoss, "BROKEN_FILE"),
        (lambda root: _hdf5(root, "tokens", (3, 4)), InvalidInput, "WRONG_SHAPE"),
        (lambda root: _hdf5(root, "ids", (3,)), InvalidInput, "NO_FIELD"),
        (lambda root: (root / "x.pkl").write_bytes(pickle.dumps([1, 2])), InvalidInput, "PICKLE_REFUSED"),
        (lambda root: _save(root, TOKENS[:7]), InvalidInput, "CORPUS_TOO_SMALL"),
        (lambda root: _save(root, TOKENS), InvalidInput, "TOKENIZER_MISMATCH"),
    ],
)
def test_bad_token_files(
    tmp_path: Path, make: Callable[[Path], object], kind: type[ForgeError], reason: str
) -> None:
    make(tmp_path)
    with pytest.raises(kind) as caught:
        read_all(tmp_path)
    assert caught.value.reason == reason
    assert caught.value.field
