"""What is read from files that strangers made: headers, directories, tars."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge_gateway.registry.admission import check_model
from agentforge_gateway.registry.facts import facts_of
from agentforge_gateway.registry.importing import import_model
from agentforge_gateway.registry.safetensors import read_header

from .making import adapter, model, raw_safetensors, safetensors

GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
LIES: dict[str, bytes] = {
    "empty": b"",
    "short": b"\x08\0\0",
    "header beyond the file": (1000).to_bytes(8, "little") + b"{}",
    "header of exabytes": (2**63).to_bytes(8, "little") + b"{}",
    "no JSON": raw_safetensors(b"{nonsense"),
    "no UTF-8": raw_safetensors(b'{"\xff": 1}'),
    "a list": raw_safetensors([]),
    "deep": raw_safetensors(b"[" * 100_000 + b"]" * 100_000),
    "no offsets": raw_safetensors({"a": {"dtype": "F32", "shape": [2]}}),
    "unknown dtype": raw_safetensors({"a": {**GOOD, "dtype": "F31"}}, bytes(8)),
    "dtype is a list": raw_safetensors({"a": {**GOOD, "dtype": []}}, bytes(8)),
    "negative shape": raw_safetensors({"a": {**GOOD, "shape": [-1, -2]}}, bytes(8)),
    "boolean shape": raw_safetensors({"a": {**GOOD, "shape": [True, 2]}}, bytes(8)),
    "too few bytes": raw_safetensors({"a": {**GOOD, "shape": [3]}}, bytes(8)),
    "data beyond the file": raw_safetensors({"a": GOOD}, bytes(4)),
    "data after the last": raw_safetensors({"a": GOOD}, bytes(12)),
    "overlap": raw_safetensors({"a": GOOD, "b": {**GOOD, "data_offsets": [4, 12]}}, bytes(12)),
    "hole": raw_safetensors({"a": GOOD, "b": {**GOOD, "data_offsets": [12, 20]}}, bytes(20)),
    "a name twice": raw_safetensors(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        bytes(8),
    ),
}


@pytest.mark.parametrize("how", LIES)
def test_a_header_that_lies(how: str, tmp_path: Path) -> None:
    place = model(tmp_path / "m")
    (place / "model.safetensors").write_bytes(LIES[how])
    for check in (lambda: check_model(place), lambda: read_header(place / "model.safetensors")):
        with pytest.raises(InvalidInput) as refused:
            check()
        assert refused.value.reason == "BAD_SAFETENSORS"


def test_facts_are_counted(tmp_path: Path) -> None:
    place = model(tmp_path / "m", a=[2, 3], b=[4], scalar=[])
    (place / "more.safetensors").write_bytes(
        raw_safetensors({"codes": {"dtype": "U8", "shape": [5], "data_offsets": [0, 5]}}, bytes(5))
    )
    found = facts_of(place, "model")
    assert (found.parameters, found.tensors, found.numbers_by_type) == (11, 4, {"F32": 11, "U8": 5})
    assert found.size_bytes == sum(f.stat().st_size for f in place.iterdir())
    assert found.architecture == "PicoForCausalLM"
    assert facts_of(model(tmp_path / "n", a=[3, 2], b=[4]), "model").shapes_digest != found.shapes_digest


def _pickle(place: Path) -> None:
    (place / "pytorch_model.bin").write_bytes(b"x")


def _hidden_pickle(place: Path) -> None:
    (place / "notes.txt").write_bytes(pickle.dumps({"a": 1}))


def _hidden_torch(place: Path) -> None:
    (place / "notes.dat").write_bytes(b"PK\x03\x04 archive/data.pkl")


def _link(place: Path) -> None:
    (place.parent / "secret").write_text("secret")
    (place / "tokenizer.json").symlink_to(place.parent / "secret")


def _folder_link(place: Path) -> None:
    (place / "more").symlink_to(place.parent)


def _pipe(place: Path) -> None:
    os.mkfifo(place / "pipe")


def _missing_shard(place: Path) -> None:
    (place / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "other.safetensors"}}))


def _shard_outside(place: Path) -> None:
    (place.parent / "x.safetensors").write_bytes(safetensors(a=[1]))
    (place / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../x.safetensors"}}))


def _no_weights(place: Path) -> None:
    (place / "model.safetensors").unlink()


def _bad_config(place: Path) -> None:
    (place / "config.json").write_text("[" * 100_000)


def _no_config(place: Path) -> None:
    (place / "config.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_pickle, "PICKLE_REFUSED"),
        (_hidden_pickle, "PICKLE_REFUSED"),
        (_hidden_torch, "PICKLE_REFUSED"),
        (_link, "SYMLINK"),
        (_folder_link, "SYMLINK"),
        (_pipe, "NOT_A_REGULAR_FILE"),
        (_missing_shard, "BAD_SAFETENSORS"),
        (_shard_outside, "BAD_SAFETENSORS"),
        (_no_weights, "NO_SAFETENSORS"),
        (_bad_config, "BAD_MODEL_CONFIG"),
        (_no_config, "NOT_A_MODEL"),
    ],
)
def test_directories_that_are_refused(spoil: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    place = model(tmp_path / "m")
    check_model(place)
    spoil(place)
    with pytest.raises(InvalidInput) as refused:
        import_model(tmp_path / "home", place, "m")
    assert refused.value.reason == reason
    assert not list((tmp_path / "home").rglob("*.json"))


def test_a_hugging_face_cache_and_an_adapter_are_taken(tmp_path: Path) -> None:
    real = model(tmp_path / "real")
    blobs = tmp_path / "cache" / "blobs"
    snapshot = tmp_path / "cache" / "snapshots" / "0123abcd"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in real.iterdir():
        file.rename(blobs / f"blob-{file.name}")
        (snapshot / file.name).symlink_to(f"../../blobs/blob-{file.name}")
    ref = import_model(tmp_path / "home", snapshot, "m")
    assert (ref.kind, ref.path) == ("model", f"imports/{ref.sha256}/m")
    assert not any(file.is_symlink() for file in (tmp_path / "home" / ref.path).iterdir())
    assert import_model(tmp_path / "home", adapter(tmp_path / "lora"), "l").kind == "adapter"


def _tar(path: Path, *members: tuple[str, bytes | None, bytes], mode: str = "w") -> Path:
    """Name, content and type."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.size = len(content or b"")
            info.linkname = "../../secret" if content is None else ""
            tar.addfile(info, io.BytesIO(content or b""))
    return path


def _whole(tmp_path: Path) -> list[tuple[str, bytes | None, bytes]]:
    place = model(tmp_path / "whole")
    return [(f"top/{file.name}", file.read_bytes(), tarfile.REGTYPE) for file in sorted(place.iterdir())]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_the_same_model(mode: str, tmp_path: Path) -> None:
    archive = _tar(tmp_path / ("m.tar" if mode == "w" else f"m.tar.{mode[2:]}"), *_whole(tmp_path), mode=mode)
    home = tmp_path / "home"
    assert import_model(home, archive, "m").sha256 == import_model(home, tmp_path / "whole", "m").sha256
    assert [p.name for p in (home / "imports").iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (("../out", b"x", tarfile.REGTYPE), "BAD_ARCHIVE"),
        (("/abs", b"x", tarfile.REGTYPE), "BAD_ARCHIVE"),
        (("top/../../out", b"x", tarfile.REGTYPE), "BAD_ARCHIVE"),
        (("top/link", None, tarfile.SYMTYPE), "BAD_ARCHIVE"),
        (("top/hard", None, tarfile.LNKTYPE), "BAD_ARCHIVE"),
        (("top/device", None, tarfile.CHRTYPE), "BAD_ARCHIVE"),
        (("top/pipe", None, tarfile.FIFOTYPE), "BAD_ARCHIVE"),
        (("top/config.json", b"{}", tarfile.REGTYPE), "BAD_ARCHIVE"),
        (("top/" + "/".join("d" * 40), b"x", tarfile.REGTYPE), "BAD_ARCHIVE"),
        (("top/model.pkl", b"x", tarfile.REGTYPE), "PICKLE_REFUSED"),
    ],
)
def test_tars_that_are_refused(extra: tuple[str, bytes | None, bytes], reason: str, tmp_path: Path) -> None:
    archive = _tar(tmp_path / "m.tar", *_whole(tmp_path), extra)
    with pytest.raises(InvalidInput) as refused:
        import_model(tmp_path / "home", archive, "m")
    assert refused.value.reason == reason
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "home" / "imports").iterdir()) == []


def test_bombs_are_stopped_by_their_size(tmp_path: Path) -> None:
    """A gigabyte of zeros in a megabyte: stopped at the limit; and a name that says it has a gigabyte."""
    home, bomb = tmp_path / "home", tmp_path / "bomb.tar.gz"
    info = tarfile.TarInfo("top/zeros")
    info.size = 1 << 30
    with gzip.open(bomb, "wb", compresslevel=1) as out:
        out.write(info.tobuf())
        for _ in range(256):  # the rest is missing: it must not come so far
            out.write(bytes(1 << 20))
    with pytest.raises(InvalidInput) as refused:
        import_model(home, bomb, "m", max_bytes=1 << 20)
    assert refused.value.reason == "IMPORT_TOO_LARGE"
    info.type = tarfile.GNUTYPE_LONGNAME
    (tmp_path / "name.tar").write_bytes(info.tobuf() + bytes(1 << 20))
    with pytest.raises(ForgeError, match="mebibyte"):
        import_model(home, tmp_path / "name.tar", "m")
    for cut in (b"", b"\x1f\x8b\x08", bomb.read_bytes()[:50_000], b"x" * 600):
        (tmp_path / "cut.tar").write_bytes(cut)
        with pytest.raises(InvalidInput):
            import_model(home, tmp_path / "cut.tar", "m")
    assert list((home / "imports").iterdir()) == []
