"""One file out of many, and back again, from friend and foe."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.edge.package.archive import pack
from agentforge.edge.package.layout import MANIFEST
from agentforge.edge.package.manifest import read_manifest
from agentforge.edge.package.unpack import unpack
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import AlreadyExists, DataLoss, DiskFull, ForgeError
from agentforge.kit.manifest import manifest as files_below
from tests.unit.edge_package import toy

TOP = "agentforge-toy"


def test_the_same_files_make_the_same_bytes(staged: Path, tmp_path: Path) -> None:
    first = pack(staged, tmp_path / "first.tar.gz")
    for file in staged.rglob("*"):  # other times, other modes
        os.utime(file, (1, 1))
        file.chmod(0o700)
    second = pack(staged, tmp_path / "of_another_name.tar.gz")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    inside = gzip.decompress(first.path.read_bytes())
    assert first.tar_sha256 == hashlib.sha256(inside).hexdigest()
    assert not list(tmp_path.glob(".*"))


def test_the_archive_says_nothing_of_the_machine(staged: Path, tmp_path: Path) -> None:
    archive = pack(staged, tmp_path / "a.tar.gz").path
    assert archive.read_bytes()[:10] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])  # no name, no time, no system
    with tarfile.open(archive) as tar:
        entries = tar.getmembers()
    assert entries[0].name == f"{TOP}/{MANIFEST}"
    assert {(e.uid, e.gid, e.uname, e.gname, e.mtime, e.type) for e in entries} == {
        (0, 0, "", "", 315_532_800, tarfile.REGTYPE)
    }
    runs = {e.name.removeprefix(f"{TOP}/") for e in entries if e.mode == 0o755}
    assert runs == {"build_engine.sh", "verify.py", "serve.py"}
    assert all(e.mode in (0o644, 0o755) for e in entries)


def test_there_and_back_again(staged: Path, tmp_path: Path) -> None:
    top = unpack(pack(staged, tmp_path / "a.tar.gz").path, tmp_path / "out")
    assert top == tmp_path / "out" / TOP
    assert files_below(top) == files_below(staged)
    assert os.access(top / "build_engine.sh", os.X_OK)
    with pytest.raises(AlreadyExists):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == [TOP]


def test_any_tar_program_unpacks_it(staged: Path, tmp_path: Path) -> None:
    archive = pack(staged, tmp_path / "a.tar.gz").path
    subprocess.run(["tar", "xzf", archive, "-C", tmp_path], check=True)
    assert files_below(tmp_path / TOP) == files_below(staged)


def test_a_file_that_changed_after_its_manifest_is_not_packed(staged: Path, tmp_path: Path) -> None:
    toy.write(staged, "README.md", b"# B toy\n")
    with pytest.raises(DataLoss, match=r"README\.md changed"):
        pack(staged, tmp_path / "a.tar.gz")
    assert not list(tmp_path.glob("*a.tar.gz*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_says_how_much_was_needed_and_leaves_nothing(staged: Path, small_disk: Path) -> None:
    toy.write(staged, "tokenizer/noise.txt", os.urandom(200_000))
    toy.write_manifest(staged)
    with pytest.raises(DiskFull) as caught:
        pack(staged, small_disk / "a.tar.gz")
    assert caught.value.reason == "DISK_FULL"
    needed, free = (int(word.replace(",", "")) for word in caught.value.message.split() if word[0].isdigit())
    assert 200_000 < needed < 250_000
    assert free == 65_536  # all of it is free again
    assert not list(small_disk.iterdir())


def test_unpacking_onto_a_full_disk_leaves_nothing(staged: Path, tmp_path: Path, small_disk: Path) -> None:
    toy.write(staged, "tokenizer/noise.txt", os.urandom(200_000))
    toy.write_manifest(staged)
    archive = pack(staged, tmp_path / "a.tar.gz").path
    with pytest.raises(DiskFull, match="are needed"):
        unpack(archive, small_disk)
    assert not list(small_disk.iterdir())


def entry(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", size: int | None = None
) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data) if size is None else size
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def lying(made: Path, path: str, size: int) -> bytes:
    """A manifest entry that gives a file another size."""
    record = json.loads((made / MANIFEST).read_bytes())
    record["files"][path] = {"sha256": "0" * 64, "bytes": size}
    return entry(f"{TOP}/{MANIFEST}", canonical_json(record))


@pytest.fixture
def hostile(made: Path, tmp_path: Path) -> Iterator[dict[str, bytes]]:
    """Gzips by name; nothing may come of any of them but words."""
    head = entry(f"{TOP}/{MANIFEST}", (made / MANIFEST).read_bytes())
    readme = entry(f"{TOP}/README.md", (made / "README.md").read_bytes())
    tars = {
        "path upwards": head + entry(f"{TOP}/../../outside", b"x"),
        "absolute name": head + entry("/tmp/outside", b"x"),
        "another top folder": head + entry("agentforge-other/README.md", b"x"),
        "manifest elsewhere": entry(f"../{MANIFEST}", (made / MANIFEST).read_bytes()),
        "manifest not first": readme + head,
        "another name inside": entry(f"agentforge-other/{MANIFEST}", (made / MANIFEST).read_bytes()),
        "symbolic link": head + entry(f"{TOP}/README.md", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        "hard link": head + entry(f"{TOP}/README.md", kind=tarfile.LNKTYPE, link="/etc/passwd"),
        "device": head + entry(f"{TOP}/README.md", kind=tarfile.CHRTYPE),
        "pipe": head + entry(f"{TOP}/README.md", kind=tarfile.FIFOTYPE),
        "directory for a file": head + entry(f"{TOP}/README.md", kind=tarfile.DIRTYPE),
        "pax header of 10 GB": head + entry(f"{TOP}/README.md", kind=tarfile.XHDTYPE, size=8 * (1 << 30) - 1),
        "one name twice": head + readme + readme,
        "two manifests": head + head,
        "file that nobody listed": head + entry(f"{TOP}/runtime/evil.py", b"x"),
        "size beside the manifest": lying(made, "README.md", 9_000) + readme,
        "manifest that claims 10 GB": lying(made, "README.md", 10 << 30) + readme,
        "manifest that claims 100 MB": lying(made, "README.md", 100 << 20) + readme,
        "manifest with a path outside": lying(made, "../../outside", 1) + readme,
        "large manifest": entry(f"{TOP}/{MANIFEST}", size=1 << 30),
        "large signature": head + entry(f"{TOP}/manifest.sig", bytes(5_000)),
        "no tar": b"hello " * 200,
        "ends within a file": head + readme[:514],
        "no end": head + readme,
        "more after its end": head + readme + bytes(1024) + entry(f"{TOP}/runtime/evil.py", b"x"),
    }  # fmt: skip
    whole = gzip.compress(head + readme + bytes(1024), mtime=0)
    yield {
        **{name: gzip.compress(tar, mtime=0) for name, tar in tars.items()},
        "no gzip": b"PK\x03\x04" + bytes(600),
        "empty": b"",
        "cut gzip": whole[:-700],
        "gzip without its digest": whole[:-8],
        "gzip with another digest": whole[:-8] + bytes(8),
        "zeros": gzip.compress(bytes(1 << 20)),
    }
    assert not (tmp_path / "outside").exists()
    assert not Path("/tmp/outside").exists()


def test_nothing_hostile_is_unpacked(hostile: dict[str, bytes], tmp_path: Path) -> None:
    said = {}
    for name, data in hostile.items():
        archive = tmp_path / "hostile.tar.gz"
        archive.write_bytes(data)
        with pytest.raises(ForgeError) as caught:
            unpack(archive, tmp_path / "out")
        said[name] = str(caught.value)
        assert not list((tmp_path / "out").iterdir()), name
    for name, words in WORDS.items():
        assert words in said.pop(name), name
    assert not said


WORDS = {
    "path upwards": "does not list",
    "absolute name": "does not list",
    "another top folder": "does not list",
    "manifest elsewhere": "does not begin with",
    "manifest not first": "does not begin with",
    "another name inside": "'other' by its folder and 'toy' by its manifest",
    "symbolic link": "a symbolic link; packages consist of regular files",
    "hard link": "a hard link",
    "device": "a device",
    "pipe": "a pipe",
    "directory for a file": "a directory",
    "pax header of 10 GB": "an entry of type b'x'",
    "one name twice": "holds README.md twice",
    "two manifests": "twice",
    "file that nobody listed": "runtime/evil.py', which its manifest does not list",
    "size beside the manifest": "README.md with 8 bytes where its manifest says 9,000",
    "manifest that claims 10 GB": "would unpack to 10,737,4",
    "manifest that claims 100 MB": "times its size",
    "manifest with a path outside": "is not allowed",
    "large manifest": "has a manifest.json of 1,073,741,824 bytes",
    "large signature": "has a manifest.sig of 5,000 bytes",
    "no tar": "holds no tar",
    "ends within a file": "ends too early",
    "no end": "ends too early",
    "more after its end": "goes on after its end",
    "no gzip": "is no gzip file",
    "empty": "ends too early",
    "cut gzip": "ends too early",
    "gzip without its digest": "ends too early",
    "gzip with another digest": "is damaged: CRC check failed",
    "zeros": "is an empty tar, or no tar at all",
}


def test_ten_gigabytes_of_zeros_are_not_inflated(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflated = []
    read = gzip.GzipFile.read

    def counted(file: gzip.GzipFile, size: int | None = -1) -> bytes:
        data = read(file, size)
        inflated.append(len(data))
        return data

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    bomb = tmp_path / "bomb.tar.gz"
    head = entry(f"{TOP}/{MANIFEST}", (made / MANIFEST).read_bytes())
    zeros = toy.zeros(10)
    assert len(zeros) < 16 << 20
    readme = entry(f"{TOP}/README.md", size=8 * (1 << 30) - 1)
    for before in (head + readme, lying(made, "README.md", 10 << 30), head + bytes(1024), b""):
        bomb.write_bytes(gzip.compress(before) + zeros)
        with pytest.raises(DataLoss):
            unpack(bomb, tmp_path / "out")
        assert not list((tmp_path / "out").iterdir())
    assert sum(inflated) < 1 << 20


def test_the_manifest_that_was_packed_is_the_one_that_was_signed(staged: Path, tmp_path: Path) -> None:
    toy.write(staged, "manifest.sig", b"whatever is there is packed")
    with tarfile.open(pack(staged, tmp_path / "a.tar.gz").path) as tar:
        names = [each.name for each in tar.getmembers()[:2]]
        data = tar.extractfile(names[0])
        assert isinstance(data, io.BufferedReader)
        assert read_manifest(data.read()).name == "toy"
    assert names == [f"{TOP}/{MANIFEST}", f"{TOP}/manifest.sig"]
