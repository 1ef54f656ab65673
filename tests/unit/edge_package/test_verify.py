"""What `agentforge verify` finds in packages that were changed, and in ones that were made wrong."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import helper

import agentforge.edge.device
from agentforge.edge.package import replay
from agentforge.edge.package.archive import pack
from agentforge.edge.package.layout import MANIFEST
from agentforge.edge.package.manifest import FileRecord, Variant, read_manifest
from agentforge.edge.package.replay import strange_code
from agentforge.edge.package.signing import fingerprint, sign_staged
from agentforge.edge.package.verdict import Verification
from agentforge.edge.package.verify import verify_package
from agentforge.kit.digests import digest_file
from agentforge.kit.errors import InvalidInput, MissingTool, NotFound
from tests.unit.edge_package import toy
from tests.unit.edge_package.keys import public_file


def run(path: Path, **options: Any) -> Verification:
    """The toy's code is none of agentforge's."""
    return verify_package(path, trust_code=True, **options)


def failures(found: Verification) -> set[tuple[str, str, str]]:
    return {(each.name, each.reason, each.field) for each in found.failures}


def test_a_good_package_is_verified_and_says_what_was_not(
    staged: Path, tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    sign_staged(staged, key)
    archive = pack(staged, tmp_path / "a.tar.gz").path
    found = run(archive, public_key=public_file(tmp_path / "p.pem", key), require_signature=True)
    assert not found.failures
    assert found.signed_by == fingerprint(key.public_key())
    names = [each.name for each in found.checks]
    assert names == [
        "archive", "signature", "files", "graph.json", "cpu_fp32.onnx", "model.onnx", "tensorrt 8.5",
        "model_int8_qdq.onnx", "tensorrt 8.5", "calibration", "python 3.8", "build_engine.sh", "golden", "replay",
    ]  # fmt: skip
    assert {each.status for each in found.checks} == {"ok"}
    assert found.checks[-1].fact == "0 answers differ"
    assert found.not_in_package == ["thoughts"]
    assert found.not_verified_here[0] == "accuracy"
    assert "tensorrt: not installed" in found.not_verified_here
    assert json.loads(json.dumps(found.record()))["verdict"] == "verified"
    assert all("static check" in each.fact for each in found.checks if each.name == "tensorrt 8.5")


def test_an_unpacked_package_may_hold_what_its_device_made(staged: Path) -> None:
    for path in ("engines/a.plan", "verification.json"):
        toy.write(staged, path, b"{}")
    before = sorted(staged.rglob("*"))
    found = run(staged, replay=False)
    assert not found.failures
    assert {each.name for each in found.checks if each.status == "not checked"} == {"signature", "replay"}
    assert sorted(staged.rglob("*")) == before


def test_every_kind_of_tampering_is_named(staged: Path, made: Path) -> None:
    paths = sorted(read_manifest((staged / MANIFEST).read_bytes()).files)
    for path in paths:
        data = (staged / path).read_bytes()
        toy.write(staged, path, data[:-1] + b"~" if data else b"~")
    (staged / "README.md").unlink()
    toy.write(staged, "runtime/__pycache__/state.cpython-311.pyc", b"evil")
    found = run(staged)
    assert failures(found) == {
        *(("files", "PACKAGE_FILE_ALTERED", path) for path in paths if path != "README.md"),
        ("files", "PACKAGE_FILE_MISSING", "README.md"),
        ("files", "PACKAGE_FOREIGN_FILE", "runtime/__pycache__/state.cpython-311.pyc"),
    }
    assert not any(each.name in ("replay", "golden") for each in found.checks)


def test_links_out_of_an_unpacked_package_are_not_followed(staged: Path) -> None:
    (staged / "serve.py").unlink()
    (staged / "serve.py").symlink_to("/etc/passwd")
    assert failures(run(staged)) == {("files", "NOT_A_REGULAR_FILE", str(staged / "serve.py"))}


def test_signatures(staged: Path, tmp_path: Path, key: Ed25519PrivateKey) -> None:
    mine = public_file(tmp_path / "mine.pem", key)
    unsigned = run(staged, public_key=mine, require_signature=True)
    assert failures(unsigned) == {("signature", "UNSIGNED", "manifest.sig")}
    with pytest.raises(InvalidInput, match="no public key"):
        run(staged, require_signature=True)
    sign_staged(staged, Ed25519PrivateKey.generate())
    assert failures(run(staged, public_key=mine)) == {("signature", "WRONG_KEY", "manifest.sig")}
    sign_staged(staged, key)
    toy.write_manifest(staged, version="1.0.1")  # whole again, but not what was signed
    assert failures(run(staged, public_key=mine)) == {("signature", "BAD_SIGNATURE", "manifest.sig")}
    toy.write(staged, "manifest.sig", b"me")
    assert failures(run(staged)) == {("signature", "BAD_SIGNATURE", "manifest.sig")}


def changed_graph(staged: Path, name: str, change: Callable[[onnx.ModelProto], object]) -> None:
    model = onnx.load(staged / "models" / name)
    change(model)
    toy.write(staged, f"models/{name}", model.SerializeToString())


def disguised(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 18


def two_outputs(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("flat", onnx.TensorProto.FLOAT, ["batch", "time", 2]))


def unsorted(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, model.graph.node.pop())


def outside(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../etc/passwd")
    weight.ClearField("raw_data")


def layer_norm(model: onnx.ModelProto) -> None:
    weight = helper.make_tensor("one", onnx.TensorProto.FLOAT, [2], [1, 1])
    model.graph.initializer.append(weight)
    model.graph.node.append(helper.make_node("LayerNormalization", ["flat", "one"], ["normed"], name="norm"))


def wide_vocabulary(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 9


CPU, TRT = "cpu_fp32.onnx", "model.onnx"
WRONG: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "opset": (lambda s: changed_graph(s, CPU, disguised), CPU, "WRONG_OPSET"),
    "state": (lambda s: changed_graph(s, CPU, two_outputs), CPU, "WRONG_STATE"),
    "size": (lambda s: changed_graph(s, CPU, wide_vocabulary), CPU, "WRONG_STATE"),
    "order": (lambda s: changed_graph(s, CPU, unsorted), CPU, "BAD_GRAPH"),
    "external": (lambda s: changed_graph(s, CPU, outside), CPU, "BAD_GRAPH"),
    "no onnx": (lambda s: toy.write(s, f"models/{CPU}", b"\xff" * 99), CPU, "BAD_GRAPH"),
    "layer norm": (lambda s: changed_graph(s, "model_int8_qdq.onnx", layer_norm), "tensorrt 8.5", ""),
    "layer": (lambda s: toy.write(s, "models/fp32_layers.txt", b"lost\n"), TRT, "UNKNOWN_LAYER"),
    "profiles": (lambda s: toy.write(s, "models/profiles.json", b"{}"), TRT, "BAD_PROFILES"),
    "facts": (lambda s: toy.write(s, "models/graph.json", b'{"format": 9}'), "graph.json", "BAD_GRAPH_JSON"),
    "python": (
        lambda s: toy.write(s, "runtime/state.py", b"match 1:\n  case 1: pass\n"), "python 3.8", "NOT_PYTHON_38",
    ),
    "shell": (lambda s: toy.write(s, "build_engine.sh", b"if then\n"), "build_engine.sh", "NOT_BASH"),
    "scale": (
        lambda s: toy.write(s, "calibration/calibration.cache", toy.cache({"a": -1})),
        "calibration", "BAD_CALIBRATION_CACHE",
    ),
    "provenance": (
        lambda s: toy.write(s, "calibration/provenance.json", b'{"model_sha256": "00"}'),
        "calibration", "BAD_CALIBRATION",
    ),
    "golden": (lambda s: toy.write(s, "golden/golden.json", b'{"format": 1, "items": []}'), "golden", "BAD_GOLDEN"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_package_that_was_made_wrong_is_refused(staged: Path, case: str) -> None:
    spoil, name, reason = WRONG[case]
    spoil(staged)
    toy.write_manifest(staged)  # its digests hold
    found = run(staged)
    assert name in {each.name for each in found.failures}, found.failures
    assert not reason or reason in {each.reason for each in found.failures}
    assert found.checks[-1].fact == "code of a package that is refused is not run"


def test_a_variant_without_a_file_and_a_file_without_a_variant(staged: Path) -> None:
    variants = dict(toy.about().variants)
    toy.write_manifest(staged, variants={CPU: variants.pop(CPU)})
    assert ("graph.json", "BAD_VARIANTS", "models/model.onnx") in failures(run(staged))
    lost = Variant(opset=21, weights="int4", meant_for="onnxruntime")
    toy.write_manifest(staged, variants={**toy.about().variants, "cpu_4bit.onnx": lost})
    assert ("graph.json", "BAD_VARIANTS", "models/cpu_4bit.onnx") in failures(run(staged))


def test_another_answer_than_the_golden_one_is_a_failure(staged: Path) -> None:
    golden = json.loads((staged / "golden/golden.json").read_bytes())
    golden["items"][0]["files"][CPU]["ids"] = [3, 4, 6]
    toy.write(staged, "golden/golden.json", json.dumps(golden).encode())
    toy.write_manifest(staged)
    [failure] = run(staged).failures
    assert (failure.name, failure.reason) == ("replay", "REPLAY_FAILED")
    assert "MISMATCH" in failure.fact


def test_the_replay_is_given_nothing_of_the_caller(staged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_TOKEN", "secret")
    told = "import json, os; print(json.dumps({'summary': sorted(os.environ), 'not_measured': []}))"
    toy.write(staged, "verify.py", told.encode())
    toy.write_manifest(staged)
    fact = run(staged).checks[-1].fact
    assert "PATH" in fact
    assert "AGENTFORGE" not in fact


def test_code_that_nobody_vouches_for_is_not_run(staged: Path, tmp_path: Path, key: Ed25519PrivateKey) -> None:
    told = f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()"
    toy.write(staged, "verify.py", told.encode())
    toy.write_manifest(staged)
    found = verify_package(staged)
    assert not found.failures
    assert (found.checks[-1].name, found.checks[-1].status) == ("replay", "not checked")
    assert not (tmp_path / "ran").exists()
    sign_staged(staged, key)
    verify_package(staged, public_key=public_file(tmp_path / "p.pem", key))
    assert (tmp_path / "ran").exists()


def test_code_of_this_installation_is_known(made: Path) -> None:
    own = Path(agentforge.edge.device.__path__[0])
    here = ("verify.py", "runtime/state.py")
    records = {path: FileRecord(sha256=digest_file(own / path), bytes=0) for path in here}
    other = FileRecord(sha256="0" * 64, bytes=0)
    files = {**records, "runtime/other.py": other, "serve.py": other, "build_engine.sh": other}
    manifest = read_manifest((made / MANIFEST).read_bytes()).model_copy(update={"files": files})
    assert strange_code(manifest) == ["runtime/other.py", "serve.py"]


def test_a_replay_that_does_not_end_is_ended_with_its_children(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_LIMIT", 0.5)
    told = (
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    toy.write(staged, "verify.py", told.encode())
    toy.write_manifest(staged)
    [failure] = run(staged).failures
    assert "did not end" in failure.fact
    status = Path("/proc", (tmp_path / "child").read_text(), "status")
    deadline = time.monotonic() + 5
    while status.exists() and "zombie" not in status.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_archive_that_is_none_is_refused_not_raised(tmp_path: Path, staged: Path) -> None:
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(b"PK\x03\x04")
    assert failures(run(bad)) == {("archive", "BAD_PACKAGE", str(bad))}
    (staged / MANIFEST).write_bytes(b'{"format": 2}')
    assert failures(run(staged)) == {("manifest", "UNKNOWN_FORMAT", MANIFEST)}
    with pytest.raises(NotFound):
        run(tmp_path / "absent.tar.gz")


def test_without_onnx_the_rest_is_checked(staged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnx", "onnxruntime", "agentforge.edge.quantise.ranges"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    found = run(staged, replay=False)
    assert not found.failures
    skipped = {each.name: each.next_step for each in found.checks if each.status == "not checked"}
    assert skipped.keys() == {"signature", "graphs", "calibration", "replay"}
    assert "agentforge[onnx]" in skipped["graphs"]


def test_without_cryptography_a_key_cannot_be_used(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(MissingTool, match="cryptography"):
        run(staged, public_key=tmp_path / "p.pem")
    assert not run(staged, replay=False).failures


def test_bash_may_be_missing(staged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = run(staged, replay=False)
    assert ("build_engine.sh", "not checked") in {(each.name, each.status) for each in found.checks}
