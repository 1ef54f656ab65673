"""Artifacts: named by content, verified before use, published whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agentforge.kit.artifacts import (
    ArtifactRef,
    describe,
    import_tree,
    manifest,
    publish,
    tree_digest,
    verify,
    write_done,
)
from agentforge.kit.errors import DataLoss, DiskFull, FailedPrecondition, ForgeError, InvalidInput, NotFound
from agentforge.kit.measure import Measurement
from agentforge.kit.rundir import RunDirectory, RunRequest
from tests.unit.kit.disks import names

FILES = {"config.json": b"{}", "sub/weights.safetensors": b"\x00\x01" * 1000, "empty": b""}


def fill(place: Path) -> None:
    for name, data in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)


def finish(run: RunDirectory, name: str = "model") -> ArtifactRef:
    with publish(run, name, "model") as output:
        fill(output.path)
    write_done(run, [output.ref], [], [])
    return output.ref


@pytest.mark.parametrize(("umask", "file", "script"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_other_users_of_the_volume_can_read_what_a_library_locked(
    run: RunDirectory, umask: int, file: int, script: int
) -> None:
    """safetensors writes with 0600, whatever the umask says."""
    before = os.umask(umask)
    try:
        with publish(run, "model", "model") as output:
            fill(output.path)
            (output.path / "run.sh").touch(0o700)
            (output.path / "sub").chmod(0o700)
            (output.path / "sub/weights.safetensors").chmod(0o600)
    finally:
        os.umask(before)
    place = run.output_path / "model"
    modes = {path.name: path.stat().st_mode & 0o777 for path in [place, *place.rglob("*")]}
    assert modes.pop("weights.safetensors") == modes.pop("config.json") == modes.pop("empty") == file
    assert set(modes) == {"model", "sub", "run.sh"}
    assert set(modes.values()) == {script}


def test_a_manifest_lists_every_file_in_order(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "hollow").mkdir()
    entries = manifest(tmp_path)
    assert [e["path"] for e in entries] == ["config.json", "empty", "sub/weights.safetensors"]
    assert entries[0] == {"path": "config.json", "size": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
    assert manifest(tmp_path / "config.json") == [{**entries[0], "path": "."}]


def test_the_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    digests: set[str] = set()
    for name, file, data in [("a", "x", b"1"), ("b", "x", b"1"), ("c", "y", b"1"), ("d", "x", b"2")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(data)
        os.utime(tmp_path / name / file, (len(digests), 0))
        digests.add(tree_digest(manifest(tmp_path / name)))
    assert len(digests) == 3


def test_only_regular_files_are_taken(tmp_path: Path) -> None:
    for make in (
        lambda p: p.symlink_to("/etc/passwd"),
        lambda p: p.symlink_to(tmp_path),
        lambda p: p.symlink_to("nowhere"),
        os.mkfifo,
        lambda p: os.mknod(p, 0o600 | 0o020000, os.makedev(1, 3)) if os.geteuid() == 0 else os.mkfifo(p),
        lambda p: socket.socket(socket.AF_UNIX).bind(os.path.relpath(p)),
    ):
        place = tmp_path / "artifact"
        place.mkdir()
        (place / "good").write_text("x")
        make(place / "odd")
        with pytest.raises(InvalidInput, match="odd") as caught:
            manifest(place)
        assert caught.value.reason == "NOT_A_REGULAR_FILE"
        shutil.rmtree(place)


def test_nothing_and_emptiness(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        manifest(tmp_path / "absent")
    with pytest.raises(InvalidInput) as caught:
        manifest(tmp_path)
    assert caught.value.reason == "EMPTY_ARTIFACT"


def test_a_deep_tree_and_odd_names(tmp_path: Path) -> None:
    place = tmp_path
    for _ in range(100):
        place = place / "d"
        place.mkdir()
    (place / "bottom").write_text("x")
    (tmp_path / "ünï code\n").write_text("x")
    assert [e["path"] for e in manifest(tmp_path)] == ["d/" * 100 + "bottom", "ünï code\n"]
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("x")
    with pytest.raises(InvalidInput, match="UTF-8"):
        manifest(tmp_path)


def test_files_of_the_user_are_described_and_verified(home: Path) -> None:
    fill(home / "mine/model")
    ref = describe(home, "mine/model", "base", "model")
    assert (ref.path, ref.size_bytes) == ("mine/model", 2002)
    assert verify(home, ref) == home / "mine/model"
    assert ArtifactRef.from_proto(ref.to_proto()) == ref
    assert ArtifactRef.from_json(json.loads(json.dumps(ref.to_json()))) == ref
    single = describe(home, "mine/model/config.json", "c", "config")
    assert verify(home, single).is_file()
    with pytest.raises(InvalidInput) as caught:
        verify(home, replace(ref, sha256=""))
    assert (caught.value.reason, caught.value.field) == ("MISSING_DIGEST", "inputs.base.sha256")
    (home / "mine/model/config.json").write_bytes(b"[]")
    for changed in (ref, single):
        with pytest.raises(DataLoss) as lost:
            verify(home, changed)
        assert lost.value.reason == "ARTIFACT_ALTERED"
    with pytest.raises(NotFound):
        verify(home, replace(ref, path="mine/absent"))


@pytest.mark.parametrize("path", ["../volume2/x", "/etc/passwd", "link/model", "mine/../mine", "a\0b", "x" * 5000])
def test_references_that_lead_elsewhere(home: Path, path: str) -> None:
    fill(home / "mine/model")
    (home / "link").symlink_to("mine")
    with pytest.raises(InvalidInput) as caught:
        verify(home, ArtifactRef("base", "model", path, "a" * 64))
    assert caught.value.field == "inputs.base.path"
    with pytest.raises(InvalidInput):
        describe(home, path, "base", "model")


def test_an_output_is_published_whole(run: RunDirectory, home: Path) -> None:
    with publish(run, "model", "model") as output:
        fill(output.path)
        assert not (run.output_path / "model").exists()
        with pytest.raises(RuntimeError):
            _ = output.ref
    assert output.ref == describe(home, "runs/r1/count/output/model", "model", "model")
    assert names(run.output_path) == ["model"]
    with publish(run, "model", "model") as again:  # by a later attempt
        (again.path / "other").write_text("x")
    assert names(run.output_path / "model") == ["other"]


def test_nothing_is_published_when_the_block_fails(run: RunDirectory) -> None:
    with pytest.raises(FileNotFoundError), publish(run, "model", "model") as output:
        (output.path / "absent").read_text()
    with pytest.raises(InvalidInput), publish(run, "model", "model") as output:
        (output.path / "link").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput), publish(run, "model", "model"):
        pass
    for name in ("../model", "a/b", ".hidden"):
        with pytest.raises(InvalidInput), publish(run, name, "model"):
            pass
    assert names(run.output_path) == []


def test_nothing_is_published_on_a_full_disk(small_disk: Path) -> None:
    run = RunDirectory(small_disk, "r1", "p")
    run.create(RunRequest("r1", "p", (), {}, "c", "m:S"))
    with pytest.raises(DiskFull), publish(run, "model", "model") as output:
        (output.path / "big").write_bytes(bytes(1 << 20))
    assert names(run.output_path) == []


def test_only_outputs_of_finished_runs_are_inputs(run: RunDirectory, home: Path) -> None:
    with publish(run, "model", "model") as output:
        fill(output.path)
    ref = output.ref
    with pytest.raises(FailedPrecondition) as caught:
        verify(home, ref)
    assert caught.value.reason == "INPUT_NOT_FINISHED"
    write_done(run, [ref], [], [])
    assert verify(home, ref) == run.output_path / "model"
    assert verify(home, replace(ref, name="under-another-name"))
    fill(run.path / "checkpoints")
    for wrong in (
        replace(ref, sha256="b" * 64),
        replace(ref, sha256=""),
        replace(ref, path=ref.path + "2"),
        replace(ref, path=ref.path + "/sub"),
        replace(ref, path="runs/r1/count/checkpoints"),
        replace(ref, path="runs/r1/count/DONE.json"),
        replace(ref, path="runs/r1"),
    ):
        with pytest.raises(InvalidInput) as refused:
            verify(home, wrong)
        assert refused.value.reason == "NOT_AN_OUTPUT"
    with pytest.raises(FailedPrecondition):
        verify(home, replace(ref, path="runs/nobody/count/output/model"))


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        (lambda p: (p / "sub/weights.safetensors").write_bytes(b"\0\1" * 999 + b"\0\2"), "ALTERED", "weights"),
        (lambda p: (p / "empty").unlink(), "MISSING", "model/empty"),
        (lambda p: (p / "sub/extra.bin").write_bytes(b""), "EXTRA", "sub/extra.bin"),
        (shutil.rmtree, "MISSING", "model/config.json"),
    ],
)
@pytest.mark.parametrize("imported", [False, True])
def test_the_first_file_that_is_wrong_is_named(
    run: RunDirectory,
    home: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
    reason: str,
    named: str,
    imported: bool,
) -> None:
    if imported:
        fill(tmp_path / "source")
        ref = import_tree(home, tmp_path / "source", "model", "model")
    else:
        ref = finish(run)
    change(home / ref.path)
    with pytest.raises(DataLoss) as caught:
        verify(home, ref)
    assert caught.value.reason == f"ARTIFACT_FILE_{reason}"
    assert named in caught.value.message


def test_a_file_replaced_by_a_link_to_its_twin_is_refused(run: RunDirectory, home: Path, tmp_path: Path) -> None:
    ref = finish(run)
    file = run.output_path / "model/config.json"
    file.rename(tmp_path / "twin")
    file.symlink_to(tmp_path / "twin")
    with pytest.raises(InvalidInput) as caught:
        verify(home, ref)
    assert caught.value.reason == "NOT_A_REGULAR_FILE"


def test_done_says_everything(run: RunDirectory, home: Path) -> None:
    (home / "in.txt").write_text("x")
    parent = describe(home, "in.txt", "text", "text")
    with publish(run, "leftover", "model") as old:
        fill(old.path)
    (run.output_path / ".partial-x").mkdir()
    with publish(run, "model", "model") as output:
        fill(output.path)
    number = Measurement("a/b", 0.5, "1", "counted", 3)
    written = write_done(run, [output.ref], [parent], [number, {"name": "c", "value": 1.0, "spread": None}])
    assert run.done() == written
    assert written.outputs == (output.ref,)
    assert written.parents == (parent,)
    assert [e["path"] for e in written.files["model"]] == sorted(FILES)
    assert written.measurements[0] == {"name": "a/b", "value": 0.5, "unit": "1", "method": "counted", "n": 3}
    assert written.config_digest == run.request().config_digest
    assert names(run.output_path) == ["model"]


def test_done_refuses_an_output_that_changed_since(run: RunDirectory) -> None:
    with publish(run, "model", "model") as output:
        fill(output.path)
    with pytest.raises(ValueError, match="cannot be output"):
        write_done(run, [output.ref, output.ref], [], [])
    (run.output_path / "model/empty").write_text("x")
    with pytest.raises(DataLoss):
        write_done(run, [output.ref], [], [])
    assert run.done() is None


def test_import_copies_once(home: Path, tmp_path: Path) -> None:
    fill(tmp_path / "source")
    ref = import_tree(home, tmp_path / "source", "llama", "model")
    assert ref.path == f"imports/{ref.sha256}/llama"
    assert manifest(home / ref.path) == manifest(tmp_path / "source")
    before = (home / ref.path).stat().st_ino
    assert import_tree(home, tmp_path / "source", "llama", "model") == ref
    assert (home / ref.path).stat().st_ino == before
    other = import_tree(home, tmp_path / "source", "again", "model")
    assert other.sha256 == ref.sha256
    assert verify(home, other) != verify(home, ref)
    assert len(names(home / "imports")) == 1
    (home / ref.path / "config.json").write_text("changed")
    import_tree(home, tmp_path / "source", "llama", "model")  # mends what was damaged
    assert verify(home, ref)
    single = import_tree(home, tmp_path / "source/config.json", "config.json", "config")
    assert verify(home, single).read_bytes() == b"{}"


def test_import_takes_a_cache_of_links_to_files(home: Path, tmp_path: Path) -> None:
    fill(tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot/config.json").symlink_to(tmp_path / "blobs/config.json")
    ref = import_tree(home, tmp_path / "snapshot", "m", "model")
    assert not (home / ref.path / "config.json").is_symlink()
    (tmp_path / "snapshot/loop").symlink_to(tmp_path / "snapshot")
    with pytest.raises(InvalidInput, match="loop"):
        import_tree(home, tmp_path / "snapshot", "m", "model")
    (tmp_path / "snapshot/loop").unlink()
    (tmp_path / "snapshot/gone").symlink_to("nowhere")
    with pytest.raises(NotFound, match="gone"):
        import_tree(home, tmp_path / "snapshot", "m", "model")
    assert len(names(home / "imports")) == 1


def test_import_on_a_full_disk_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(1 << 20))
    with pytest.raises(DiskFull):
        import_tree(small_disk, tmp_path / "big", "big", "model")
    assert names(small_disk / "imports") == []


def test_every_refusal_says_what_to_do_or_where(home: Path) -> None:
    for path in ("runs/x/p/output/m", "..", "absent", "runs/x"):
        with pytest.raises(ForgeError) as caught:
            verify(home, ArtifactRef("base", "model", path, "a" * 64))
        assert caught.value.field
