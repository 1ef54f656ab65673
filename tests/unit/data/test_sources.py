from __future__ import annotations

import itertools
import json
import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentforge.data.sources.documents import START, DocumentSource, SplitSource
from agentforge.data.sources.files import FileSource
from agentforge.data.sources.hub import HubSource
from agentforge.data.sources.quarantine import Quarantine
from agentforge.data.sources.stdlib import Part, StandardLibrary
from agentforge.data.splits import Split
from agentforge.kit.errors import DataLoss, ForgeError, InvalidInput, MissingTool, NotFound, Unavailable
from tests.unit.data.helpers import ListSource, story

h5py = pytest.importorskip("h5py")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

STORIES = [story(number) for number in range(30)]


def texts(source: DocumentSource) -> list[str]:
    return [document.text for document, _ in source.read()]


def check_resume(source: DocumentSource) -> None:
    """From every cursor, exactly the rest follows."""
    whole = list(source.read())
    assert list(source.read(START)) == whole
    for place in range(0, len(whole), 7):
        assert list(source.read(whole[place][1])) == whole[place + 1 :]


def write(root: Path) -> None:
    (root / "a.txt").write_text("\n\n".join(STORIES))
    (root / "b.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in STORIES))
    parquet.write_table(pa.table({"text": STORIES}), root / "c.parquet", row_group_size=8)
    with h5py.File(root / "d.h5", "w") as file:
        file["text"] = STORIES


def test_formats_give_the_same_text_and_resume_anywhere(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("b.jsonl", "c.parquet", "d.h5"):
        source = FileSource([Path(name)], tmp_path)
        assert texts(source) == STORIES
        check_resume(source)
    plain = FileSource([Path("a.txt")], tmp_path)
    assert "".join(texts(plain)) == (tmp_path / "a.txt").read_text()
    assert len(texts(plain)) > 5
    check_resume(plain)
    check_resume(FileSource([Path()], tmp_path))  # the folder: all files, sorted
    assert len(texts(FileSource([Path()], tmp_path))) == 90 + len(texts(plain))


def test_text_without_line_ends_is_cut_between_characters(tmp_path: Path) -> None:
    text = "ä🙂x" * 60_000
    (tmp_path / "long.txt").write_text(text)
    source = FileSource([Path("long.txt")], tmp_path)
    assert "".join(texts(source)) == text
    assert max(len(piece.encode()) for piece in texts(source)) <= 65_536
    check_resume(source)


def test_pickles_are_refused_unless_allowed_and_then_restricted(tmp_path: Path) -> None:
    (tmp_path / "good.pkl").write_bytes(pickle.dumps(STORIES))
    with pytest.raises(InvalidInput, match="is a pickle, which could run code") as caught:
        texts(FileSource([Path("good.pkl")], tmp_path))
    assert caught.value.reason == "PICKLE_REFUSED"
    allowed = FileSource([Path("good.pkl")], tmp_path, allow_pickle=True)
    assert texts(allowed) == STORIES
    check_resume(allowed)

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path}/owned",)

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps([Evil()]))
    with pytest.raises(InvalidInput, match="which is not allowed"):
        texts(FileSource([Path("evil.pkl")], tmp_path, allow_pickle=True))
    assert not (tmp_path / "owned").exists()
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps(STORIES)[:100])
    with pytest.raises(InvalidInput):
        texts(FileSource([Path("cut.pkl")], tmp_path, allow_pickle=True))


def test_broken_lines_are_counted_quarantined_and_limited(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text}) for text in STORIES]
    lines[3], lines[8], lines[9] = "{broken", '{"other": 1}', '{"text": "\\ud800"}'
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    quarantine = Quarantine(limit=3, path=tmp_path / "quarantine.out")
    source = FileSource([Path("a.jsonl")], tmp_path, broken=quarantine)
    assert len(texts(source)) == 27
    assert len(texts(source)) == 27  # a second epoch counts nothing twice
    records = [json.loads(line) for line in (tmp_path / "quarantine.out").read_text().splitlines()]
    assert quarantine.count == len(records) == 3
    assert Quarantine(3, tmp_path / "quarantine.out").count == 3  # nor does a resume
    with pytest.raises(
        InvalidInput, match=r"3 broken lines, 2 allowed; .*a\.jsonl, byte \d+: half a surrogate"
    ) as caught:
        texts(FileSource([Path("a.jsonl")], tmp_path, broken=Quarantine(limit=2)))
    assert caught.value.reason == "TOO_MANY_BROKEN_LINES"


def _binary(root: Path) -> str:
    (root / "x.txt").write_bytes(b"text\n" + bytes(range(256)))
    return "x.txt"


def _latin(root: Path) -> str:
    (root / "x.txt").write_bytes("fünf".encode("latin-1"))
    return "x.txt"


def _cut_parquet(root: Path) -> str:
    write(root)
    (root / "x.parquet").write_bytes((root / "c.parquet").read_bytes()[:-40])
    return "x.parquet"


def _hollow_parquet(root: Path) -> str:
    write(root)
    raw = bytearray((root / "c.parquet").read_bytes())
    raw[4:400] = bytes(396)  # the footer stays whole, the first pages do not
    (root / "x.parquet").write_bytes(raw)
    return "x.parquet"


def _cut_hdf5(root: Path) -> str:
    write(root)
    (root / "x.h5").write_bytes((root / "d.h5").read_bytes()[:1000])
    return "x.h5"


def _flat_hdf5(root: Path) -> str:
    with h5py.File(root / "x.h5", "w") as file:
        file["text"] = np.zeros((3, 4))
    return "x.h5"


def _other_hdf5(root: Path) -> str:
    with h5py.File(root / "x.h5", "w") as file:
        file["body"] = STORIES
    return "x.h5"


def _other_parquet(root: Path) -> str:
    parquet.write_table(pa.table({"body": STORIES}), root / "x.parquet")
    return "x.parquet"


def _numbers_parquet(root: Path) -> str:
    parquet.write_table(pa.table({"text": [1, 2]}), root / "x.parquet")
    return "x.parquet"


def _unknown(root: Path) -> str:
    (root / "x.docx").write_bytes(b"")
    return "x.docx"


def _link_out(root: Path) -> str:
    (root / "x.txt").symlink_to("/etc/hostname")
    return "x.txt"


def _linked_folder(root: Path) -> str:
    (root / "in").mkdir()
    (root / "in" / "x.txt").symlink_to("/etc/hostname")
    return "in"


def _nothing(root: Path) -> str:
    (root / "in").mkdir()
    return "in"


@pytest.mark.parametrize(
    ("make", "kind", "reason", "says"),
    [
        (_binary, InvalidInput, "NOT_TEXT", "byte 133 is not UTF-8"),
        (_latin, InvalidInput, "NOT_TEXT", "byte 1 is not UTF-8"),
        (_cut_parquet, DataLoss, "BROKEN_FILE", "x.parquet cannot be read"),
        (_hollow_parquet, DataLoss, "BROKEN_FILE", "x.parquet cannot be read"),
        (_cut_hdf5, DataLoss, "BROKEN_FILE", "x.h5 cannot be read"),
        (_flat_hdf5, InvalidInput, "WRONG_SHAPE", r"'text' is float64 of shape \(3, 4\)"),
        (_other_hdf5, InvalidInput, "NO_FIELD", "has no field 'text'"),
        (_other_parquet, InvalidInput, "NO_FIELD", "It has: body"),
        (_numbers_parquet, InvalidInput, "NOT_TEXT", "'text' holds 1, not text"),
        (_unknown, InvalidInput, "UNKNOWN_FORMAT", "format .docx is not known"),
        (lambda _: "../x.txt", InvalidInput, "PATH_OUTSIDE_ROOT", "is outside of"),
        (_link_out, InvalidInput, "PATH_OUTSIDE_ROOT", "is outside of"),
        (_linked_folder, InvalidInput, "PATH_OUTSIDE_ROOT", "is outside of"),
        (lambda _: "none.txt", NotFound, "FILE_NOT_FOUND", "there is no file"),
        (_nothing, InvalidInput, "EMPTY_CORPUS", "nothing to read in in"),
    ],
)
def test_bad_files(tmp_path: Path, make: Any, kind: type[ForgeError], reason: str, says: str) -> None:
    path = make(tmp_path)
    with pytest.raises(kind, match=says) as caught:
        texts(FileSource([Path(path)], tmp_path))
    assert caught.value.reason == reason
    assert caught.value.field


def test_zero_bytes_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"abc\0def")
    with pytest.raises(InvalidInput, match="byte 3 is a zero byte"):
        texts(FileSource([Path("x.txt")], tmp_path))


@pytest.mark.parametrize("part", Part)
def test_standard_library_is_there_and_resumes(part: Part) -> None:
    source = StandardLibrary(part, every=60)
    check_resume(source)
    assert len(texts(source)) >= 8
    assert not any("site-packages" in str(file) or "/test/" in str(file) for file in source.files)


def test_a_docstring_is_in_its_modules_split() -> None:
    modules = {document.origin.split("#")[0]: document.split for document, _ in StandardLibrary(every=40).read()}
    docstrings = list(StandardLibrary(Part.DOCSTRINGS, every=40).read())
    assert all(modules[document.origin.split("#")[0]] is document.split for document, _ in docstrings)


def test_splits_share_out_a_source() -> None:
    source = ListSource([story(number) for number in range(300)])
    parts = [texts(SplitSource(source, split)) for split in Split]
    assert sorted(itertools.chain(*parts)) == sorted(source.texts)
    check_resume(SplitSource(source, Split.TRAIN))


class FakeDatasets(types.ModuleType):
    """The one call of the `datasets` package that is used."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("datasets")
        self.error = error

    def load_dataset(
        self, name: str, config: str | None, *, split: str, revision: str | None, streaming: bool
    ) -> Any:
        assert streaming
        if self.error:
            raise self.error
        return types.SimpleNamespace(skip=lambda start: ({"text": text} for text in STORIES[start:]))


def test_hub_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", FakeDatasets())
    source = HubSource("someone/stories")
    assert texts(source) == STORIES
    check_resume(source)
    with pytest.raises(InvalidInput, match="no text in field 'body'"):
        texts(HubSource("someone/stories", field="body"))
    monkeypatch.setitem(sys.modules, "datasets", FakeDatasets(ConnectionError("no route")))
    with pytest.raises(Unavailable, match="bring it as files"):
        texts(HubSource("someone/stories"))
    monkeypatch.setitem(sys.modules, "datasets", FakeDatasets(FileNotFoundError("no such")))
    with pytest.raises(NotFound):
        texts(HubSource("someone/stories"))


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingTool, match=r"pip install 'agentforge\[data\]'"):
        HubSource("someone/stories")
