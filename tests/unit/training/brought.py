"""Text and tokens as users bring them, in every format."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agentforge.data.codec import Codec
from agentforge.data.splits import Split, split_of
from tests import pico
from tests.unit.data.helpers import story

CODEC = Codec(pico.tokenizer())
STORIES = [story(number, words=40) for number in range(120)]
BY_SPLIT = {split: [text for text in STORIES if split_of(text) is split] for split in Split}
BLOCKS = 60  # of 4,096 tokens; some are in every split
TOKENS = np.random.default_rng(0).integers(0, CODEC.vocabulary, BLOCKS * 4_096)


def jsonl(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def records(texts: Sequence[str] = STORIES, field: str = "text") -> list[str]:
    return [json.dumps({field: text}) for text in texts]


def corpora(place: Path) -> dict[str, Path]:
    """The same stories in each format; a text file is cut into others."""
    place.mkdir(exist_ok=True)
    jsonl(place / "a.jsonl", records())
    pq.write_table(pa.table({"text": STORIES}), place / "a.parquet", row_group_size=7)
    for name in ("a.h5", "a.hdf5"):
        with h5py.File(place / name, "w") as file:
            file["text"] = STORIES
    (place / "a.pkl").write_bytes(pickle.dumps(STORIES))
    return {path.suffix: path for path in place.iterdir()}


def shards(place: Path) -> dict[str, Path]:
    """The same tokens in each format."""
    place.mkdir(exist_ok=True)
    np.save(place / "a.npy", TOKENS.astype(np.uint32))
    TOKENS.astype("<u2").tofile(place / "a.bin")
    with h5py.File(place / "a.h5", "w") as file:
        file.create_dataset("tokens", data=TOKENS, chunks=(1_000,), compression="gzip")
    (place / "a.pkl").write_bytes(pickle.dumps(TOKENS))
    return {path.suffix: path for path in place.iterdir()}


def llm_c(path: Path, tokens: int, said: int | None = None) -> Path:
    """As llm.c writes tokens: 256 numbers that tell of them, then they."""
    header = np.zeros(256, "<i4")
    header[:3] = 20_240_520, 1, tokens if said is None else said
    path.write_bytes(header.tobytes() + TOKENS[:tokens].astype("<u2").tobytes())
    return path
