"""`agentforge verify` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agentforge.cli.verify import VerifyOptions, verify
from agentforge.edge.package.archive import pack
from agentforge.edge.package.signing import sign_staged
from agentforge.kit.artifacts import publish, write_done
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rundir import RunDirectory, RunRequest
from tests.unit.cli.program import Program
from tests.unit.edge_package import toy
from tests.unit.edge_package.keys import public_file


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "home")


def test_a_signed_package(program: Program, staged: Path, tmp_path: Path, key: Ed25519PrivateKey) -> None:
    sign_staged(staged, key)
    archive, public = pack(staged, tmp_path / "toy.tar.gz").path, public_file(tmp_path / "p.pem", key)
    good = program("verify", archive, "--public-key", public, "--require-signature")
    assert good.code == 0, good.out
    assert good.out.splitlines()[0] == "toy 1.0.0"
    assert "\nverified: 14 checks\n" in good.out
    assert "Not verified here:\n  - accuracy\n" in good.out
    assert "Not in the package:\n  - thoughts\n" in good.out


def test_outputs_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTFORGE_HOME", str(tmp_path))
    run = RunDirectory(tmp_path, "r1", "count")
    run.create(RunRequest("r1", "count", (), {}, "code", "tests.phases.count:SPEC"))
    with publish(run, "model", "model") as output:
        toy.write(output.path, "weights", b"good")
    write_done(run, [output.ref], [], [])
    for place in (run.path, run.path / "output" / "model"):
        assert verify(VerifyOptions(place, None, False, True, False, as_json=False)) == 0
        assert "ok    model" in capsys.readouterr().out
    toy.write(run.path / "output" / "model", "weights", b"evil")
    assert verify(VerifyOptions(run.path, None, False, True, False, as_json=True)) == 1
    [failed] = json.loads(capsys.readouterr().out)["checks"]
    assert failed["reason"] == "ARTIFACT_FILE_ALTERED"
    with pytest.raises(InvalidInput, match="runs do not sign"):
        verify(VerifyOptions(run.path, None, True, True, False, as_json=True))


def test_what_a_package_says_cannot_steer_a_terminal(staged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy.write_manifest(staged, not_in_package=["\x1b[2J\nverified: 99 checks"])
    verify(VerifyOptions(staged, None, False, False, False, as_json=False))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "  - �[2J verified: 99 checks\n" in out


def test_a_tampered_package_ends_with_1_and_bad_requests_with_2(
    program: Program, staged: Path, tmp_path: Path
) -> None:
    toy.write(staged, "serve.py", b"import evil\n")
    bad = program("verify", staged, "--json")
    told = json.loads(bad.out)
    assert (bad.code, told["verdict"], told["package"]) == (1, "refused", str(staged))
    [failed] = [each for each in told["checks"] if each["status"] == "failed"]
    assert (failed["field"], failed["reason"]) == ("serve.py", "PACKAGE_FILE_ALTERED")
    for path, reason in ((tmp_path / "absent", "PACKAGE_NOT_FOUND"), (tmp_path, "NOT_A_PACKAGE")):
        refused = program("verify", path, "--json")
        assert (refused.code, refused.error["reason"]) == (2, reason)
