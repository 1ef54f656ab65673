"""Text and tokens that a user brings, as a run reads them: split, cleaned, counted, resumed, in bounded memory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentforge.data.cleaned import Cleaned
from agentforge.data.loader import Loader, Prefetch
from agentforge.data.prepare import prepare_tokens
from agentforge.data.quality import UNFILTERED, QualityConfig
from agentforge.data.rows import RowSource
from agentforge.data.sources.documents import START, Cursor, Document
from agentforge.data.splits import Split
from agentforge.data.tokens import OpenShards, TokenShards, Windows
from agentforge.kit.errors import DataLoss, InvalidInput
from agentforge.phase5_training.configs.data import TEXT, TOKENS, DataConfig
from agentforge.phase5_training.sources import QUARANTINE, Given, Places
from agentforge.phase5_training.validation import given_losses
from agentforge.train.evaluate import text_bits
from tests import pico
from tests.unit.data.helpers import ListSource
from tests.unit.training import brought, parts
from tests.unit.training.brought import BY_SPLIT, CODEC, STORIES

ROW = pico.WINDOW


def given(
    root: Path, *corpus: Path, tokens: Path | None = None, tell: Any = lambda record: None, **fields: Any
) -> Given:
    data = DataConfig(**{"length": ROW, "held_out": 4, "allow_pickle": True, **fields})
    return Given(Places(root, corpus, tokens), data, CODEC, 42, tell)


def read(rows: RowSource, count: int) -> list[tuple[int, ...]]:
    return [tuple(rows.row(number).ids.tolist()) for number in range(count)]


def text(ids: Any) -> str:
    return CODEC.text(list(ids))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".h5", ".hdf5", ".pkl"])
def test_text_is_trained_on_from_its_train_split_and_measured_on_the_others(tmp_path: Path, suffix: str) -> None:
    found = given(tmp_path, brought.corpora(tmp_path)[suffix])
    rows = found.rows(TEXT)
    expected = "".join(f"{each}<|eos|>" for each in BY_SPLIT[Split.TRAIN])
    tokens = len(expected.replace("<|eos|>", "\n"))
    found_text = "".join(text(each) for each in read(rows, tokens // ROW))
    assert expected.startswith(found_text)
    assert len(found_text) > 10_000
    for split in (Split.SELECTION, Split.TEST):
        assert [text(row) for row in found.held_out[split][TEXT]] == [each[:ROW] for each in BY_SPLIT[split][:4]]


def test_plain_files_and_folders(tmp_path: Path) -> None:
    for number, suffix in enumerate((".txt", ".md", ".py")):
        (tmp_path / f"{number}{suffix}").write_text("\n\n".join(STORIES[number * 40 : number * 40 + 40]))
    found = given(tmp_path, *sorted(tmp_path.iterdir()), held_out=1)
    first = text(found.rows(TEXT).row(0).ids)
    assert any(first[: ROW // 2] in each for each in STORIES)
    assert found.counts["kept"] == found.counts["seen"] > 3


@pytest.mark.parametrize("suffix", [".npy", ".bin", ".h5", ".pkl"])
def test_tokens_are_split_by_block(tmp_path: Path, suffix: str) -> None:
    found = given(tmp_path, tokens=brought.shards(tmp_path)[suffix])
    whole = Windows(TokenShards([tmp_path / "a.npy"], name=TOKENS), ROW, Split.TRAIN)
    rows = found.rows(TOKENS)
    seen = set(read(rows, len(whole)))
    assert seen == {tuple(whole.read(number)) for number in range(len(whole))}
    for split in (Split.SELECTION, Split.TEST):
        assert len(found.held_out[split][TOKENS]) == 4
        assert not {tuple(row) for row in found.held_out[split][TOKENS]} & seen


def test_prepared_tokens_keep_the_splits_of_their_documents(tmp_path: Path) -> None:
    prepare_tokens([ListSource(STORIES)], CODEC, tmp_path)
    found = given(tmp_path, tokens=tmp_path)
    rows = found.rows(TOKENS)
    expected = "".join(f"{each}<|eos|>" for each in BY_SPLIT[Split.TRAIN])
    assert all(text(each) in expected for each in read(rows, 100))
    assert "".join(BY_SPLIT[Split.TEST]).startswith(text(found.held_out[Split.TEST][TOKENS][0]))


def with_broken_lines(root: Path) -> Path:
    lines = brought.records()
    lines[3], lines[60], lines[90], lines[91] = "{broken", '{"other": 1}', '{"text": 7}', "[" * 9_999
    return brought.jsonl(root / "a.jsonl", lines)


def test_broken_lines_are_left_out_told_counted_once_and_written(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    found = given(tmp_path, with_broken_lines(tmp_path), broken_lines=4, held_out=1, tell=told.append)
    assert found.broken.count < 4  # no more was read than is measured on
    rows = found.rows(TEXT)
    read(rows, 3 * sum(map(len, STORIES)) // ROW)
    assert rows.state_dict()["epoch"] >= 2
    found.write(tmp_path)
    written = [json.loads(line) for line in (tmp_path / QUARANTINE).read_text().splitlines()]
    assert written == told
    assert [each["line"][:8] for each in written] == ["{broken\n", '{"other"', '{"text":', "[" * 8]
    assert {each["file"] for each in written} == {"a.jsonl"}
    assert found.record()["broken_lines"] == 4


def test_one_broken_line_more_than_allowed_ends_the_run(tmp_path: Path) -> None:
    rows = given(tmp_path, with_broken_lines(tmp_path), broken_lines=3, held_out=1).rows(TEXT)
    with pytest.raises(
        InvalidInput, match=r"4 broken lines, 3 allowed; the last is a\.jsonl, byte \d+: "
    ) as caught:
        read(rows, 10_000)
    assert caught.value.reason == "TOO_MANY_BROKEN_LINES"


def loader(found: Given) -> Loader:
    sources = [(found.rows(TEXT), 2.0), (found.rows(TOKENS), 1.0), (parts.rows(), 1.0)]
    return Loader(sources, batch=3, pad=CODEC.pad, seed=7)


@pytest.mark.parametrize("filtered", [QualityConfig(duplicates=None), QualityConfig(), None])
def test_a_resume_is_exact_to_the_token_wherever_it_was_killed(tmp_path: Path, filtered: Any) -> None:
    corpus, tokens = with_broken_lines(tmp_path), tmp_path / "shards"
    brought.shards(tokens)
    whole = loader(given(tmp_path, corpus, tokens=tokens / "a.npy", broken_lines=4, quality=filtered))
    states, batches = [], []
    for _ in range(400):  # beyond the end of the corpus
        states.append(json.dumps(whole.state_dict()))
        batches.append(next(whole))
    for kill in (0, 1, 57, 200, 390):
        found = given(tmp_path, corpus, tokens=tokens / "a.npy", broken_lines=4, quality=filtered)
        resumed = loader(found)
        resumed.load_state_dict(json.loads(states[kill]))
        for place, batch in enumerate(islice(resumed, 400 - kill), kill):
            assert np.array_equal(batch.input_ids, batches[place].input_ids)
            assert np.array_equal(batch.labels, batches[place].labels)
        assert resumed.state_dict() == whole.state_dict()
        assert found.broken.count == 4


def test_batches_made_ahead_go_back_and_on_as_others_do(tmp_path: Path) -> None:
    corpus, tokens = with_broken_lines(tmp_path), tmp_path / "shards"
    brought.shards(tokens)
    plain, other = (loader(given(tmp_path, corpus, tokens=tokens / "a.npy", broken_lines=4)) for _ in range(2))
    ahead = Prefetch(other)
    states, batches = [], []
    for _ in range(60):
        states.append(json.loads(json.dumps(plain.state_dict())))
        batches.append(next(plain))
    for back in (30, 0, 55):
        ahead.load_state_dict(states[back])
        assert ahead.state_dict() == states[back]
        assert all(np.array_equal(next(ahead).input_ids, batch.input_ids) for batch in batches[back:])
    ahead.close()


class Recorded(ListSource):
    def read(self, cursor: Cursor = START) -> Iterator[tuple[Document, Cursor]]:
        self.cursor = cursor
        return super().read(cursor)


def test_a_resume_reads_what_lies_before_only_to_find_duplicates() -> None:
    source = Recorded(STORIES)
    assert [each.text for each, _ in Cleaned(source, UNFILTERED).read((0, 70))] == STORIES[70:]
    assert source.cursor == (0, 70)
    assert [each.text for each, _ in Cleaned(source).read((0, 70))] == STORIES[70:]
    assert source.cursor == START


def open_below(root: Path) -> list[str]:
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sorted(str(link.readlink()) for link in links if link.readlink().is_relative_to(root))


def test_shards_that_were_not_used_for_longest_are_closed(tmp_path: Path) -> None:
    import h5py

    for number in range(6):
        np.save(tmp_path / f"{number}.npy", np.arange(100) + 100 * number)
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["tokens"] = np.arange(100) + 100 * number
    files = sorted(tmp_path.iterdir())
    shards = TokenShards(files, name="some", shards=OpenShards(3))
    assert len(open_below(tmp_path)) == 3
    for place in (0, 1, 2, 0, 11):
        assert len(shards.read(place * 100, place * 100 + 5)) == 5
    assert open_below(tmp_path) == [str(files[place]) for place in (0, 2, 11)]
    shards.read(0, len(shards))
    assert len(open_below(tmp_path)) == 3


def peak_kib() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("suffix", [".npy", ".bin"])
def test_a_file_larger_than_the_bound_is_read_within_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    header = b""
    if suffix == ".npy":
        np.save(path, np.zeros(0, np.uint16))
        header = path.read_bytes().replace(b"(0,), }          ", b"(100000000,), }  ")
    path.write_bytes(header)
    os.truncate(path, len(header) + 200_000_000)
    windows = Windows(TokenShards([path], name="large"), 4_000)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_kib()
    total = sum(int(windows.read(number).sum()) for number in range(len(windows)))
    assert (len(windows), total) == (25_000, 0)
    assert peak_kib() - before < 8_000


def test_a_file_that_is_cut_short_while_it_is_read(tmp_path: Path) -> None:
    path = brought.shards(tmp_path)[".bin"]
    rows = given(tmp_path, tokens=path).rows(TOKENS)
    os.truncate(path, 5_000)
    with pytest.raises(DataLoss, match=r"a\.bin was cut short while it was read"):
        read(rows, 100)


def test_the_header_of_llm_c_is_no_token(tmp_path: Path) -> None:
    path = brought.llm_c(tmp_path / "a.bin", 3_000)
    tokens = TokenShards([path], name="llm.c")
    assert np.array_equal(tokens.read(0, len(tokens)), brought.TOKENS[:3_000])
    brought.llm_c(tmp_path / "b.bin", 3_000, said=4_000)
    with pytest.raises(DataLoss, match=r"its header says 4,000 tokens, and there are 3,000"):
        TokenShards([tmp_path / "b.bin"], name="llm.c")


def test_losses_are_of_the_held_out_rows(tmp_path: Path) -> None:
    """The tokens of this tokenizer are bytes, so nats and bits say the same; and text_bits counts them as well."""
    found = given(tmp_path, brought.corpora(tmp_path)[".jsonl"], tokens=brought.shards(tmp_path / "t")[".npy"])
    model: Any = pico.llama().eval()  # type: ignore[no-untyped-call]
    numbers = {each.name: each for each in given_losses(model, found, Split.TEST, "x")}
    assert list(numbers) == ["x/text_loss", "x/text_bits_per_byte", "x/tokens_loss", "x/tokens_bits_per_byte"]
    assert numbers["x/text_loss"].unit == "nat"
    assert numbers["x/text_loss"].n == 4
    bits = numbers["x/text_bits_per_byte"].value
    assert bits == pytest.approx(numbers["x/text_loss"].value / np.log(2))
    same = [each[:ROW] for each in BY_SPLIT[Split.TEST][:4]]
    assert bits == pytest.approx(text_bits(model, CODEC, same, name="y", length=ROW + 1).value, rel=1e-5)
    ids = torch.tensor(found.held_out[Split.TEST][TOKENS])
    assert numbers["x/tokens_loss"].value == pytest.approx(model(input_ids=ids, labels=ids).loss.item(), rel=1e-3)
