"""The whole phase on a Titan and on a Llama: what comes out holds what was promised, and checks itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agentforge.edge.package.signing import fingerprint
from agentforge.edge.package.unpack import unpack
from agentforge.edge.package.verify import verify_package
from agentforge.kit.errors import RunFailed
from agentforge.phase7_adas import parity
from agentforge.phase7_adas.admission import KEY_VARIABLE
from agentforge.phase7_adas.search.finishing import AS_JUDGED, LONGER
from agentforge.phase7_adas.staging import ARCHIVE
from tests.attempts import Attempt, Killed, Record
from tests.unit.adas.phases import ask
from tests.unit.edge_package import keys

PACKAGE, PROFILE = "adas_deployment_package", "adas_performance_profile"


def archive(run: Attempt) -> Path:
    return run.run.output_path / PACKAGE / ARCHIVE


def manifest(run: Attempt, place: Path) -> Record:
    top = unpack(archive(run), place)
    return dict(json.loads((top / "manifest.json").read_text()))


@pytest.mark.parametrize("who", ["packed", "llama"])
def test_the_package_passes_every_check_that_needs_no_jetson(who: str, request: pytest.FixtureRequest) -> None:
    found = verify_package(archive(request.getfixturevalue(who)))
    assert not found.failures
    assert {one.name for one in found.checks if one.status == "not checked"} == {"signature"}
    assert any(one.name == "replay" and one.status == "ok" for one in found.checks)


def test_files_compute_what_pytorch_does(packed: Attempt, llama: Attempt) -> None:
    for run in (packed, llama):
        for name in ("cpu_fp32", "tensorrt_fp32"):
            assert run.values(f"adas/{name}/parity")[-1] < 1e-5
            assert run.values(f"adas/{name}/same_answers") == [1.0]


def test_the_manifest_says_what_was_checked_and_what_is_not_in_it(packed: Attempt, tmp_path: Path) -> None:
    told = manifest(packed, tmp_path)
    assert any("static check against the 8.5 table" in line for line in told["verified"])
    assert not any("TensorRT verified" in line for line in told["verified"])
    assert any("TensorRT" in line for line in told["not_verified_here"])
    assert set(told["variants"]) == {
        "model.onnx", "model_int8_qdq.onnx", "cpu_fp32.onnx", "cpu_int8.onnx", "cpu_4bit.onnx",
    }  # fmt: skip


def test_measured_and_estimated_stand_apart(packed: Attempt) -> None:
    profile = json.loads((packed.run.output_path / PROFILE / f"{PROFILE}.json").read_text())
    assert {one["name"] for one in profile["measured"]} >= {"adas/performance/cpu_4bit/decode_p50"}
    estimates = profile["estimates"]["devices"][0]["estimates"]
    assert all(each["decode"]["kind"] == "estimate" for each in estimates)


def test_the_model_has_its_card_its_front_and_what_belonged_to_it(packed: Attempt) -> None:
    assert {"README.md", "front.json", "training.json", "tokenizer.json"} <= set(packed.files)
    front = json.loads(packed.files["front.json"])
    assert front["chosen"] in front["front"]
    assert front["weights"] in (LONGER, AS_JUDGED)
    scan = json.loads(packed.files["training.json"])["adas"]["int8"]["scan"]
    assert {"layers.0.attention.qkv", "lm_head"} <= {one["unit"] for one in scan}
    card = packed.files["README.md"].decode()
    assert "A search kept" in card
    assert "cpu_4bit" in card


@pytest.mark.slow
def test_killed_amid_search_and_package_it_ends_with_the_same_bytes(volume: Path, packed: Attempt) -> None:
    run = ask(volume, "killed").killed_at_checkpoints([1, 2])

    def amid(kind: str, payload: Record) -> None:
        if payload.get("message") == "package":
            raise Killed

    with pytest.raises(Killed):
        run.go(amid)
    run = run.again().go()
    assert run.files == packed.files
    assert archive(run).read_bytes() == archive(packed).read_bytes()


def test_a_signed_package_is_signed_by_the_given_key(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Ed25519PrivateKey.generate()
    monkeypatch.setenv(KEY_VARIABLE, str(keys.private_file(tmp_path / "key.pem", key)))
    bare = {"search": None, "export": {"int8": None, "cpu": []}, "package": {"sign": True}}
    run = ask(volume, "signed", "llama", **bare).go()
    public = keys.public_file(tmp_path / "key.pub.pem", key)
    found = verify_package(archive(run), public_key=public, require_signature=True)
    assert not found.failures
    assert found.signed_by == fingerprint(key.public_key())


def test_a_file_that_computes_something_else_is_never_packed(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "PLAIN_BOUND", 1e-12)
    run = ask(volume, "apart", "llama", search=None, export={"int8": None, "cpu": []})
    with pytest.raises(RunFailed, match="from PyTorch") as failed:
        run.go()
    assert failed.value.reason == "PARITY_LOST"
    assert not archive(run).exists()
    shutil.rmtree(run.run.path)
