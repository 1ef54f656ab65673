"""`agentforge models sign`, `models verify --public-key`, and what a signed export tells whoever gets it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from agentforge.cli import models
from agentforge.cli.export import export
from agentforge.cli.model_signatures import check, made_by
from agentforge.kit.errors import DataLoss, ForgeError

from .making import model

SHA = "ab" * 32


def keys(place: Path, name: str) -> tuple[Path, Path]:
    """A private and a public key file."""
    key = Ed25519PrivateKey.generate()
    private, public = place / f"{name}.pem", place / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def reason(work: Callable[[], object]) -> str:
    with pytest.raises(ForgeError) as caught:
        work()
    return caught.value.reason


def test_a_signature_is_of_one_digest_by_one_key(tmp_path: Path) -> None:
    private, public = keys(tmp_path, "mine")
    other = keys(tmp_path, "other")[1]
    values = list(made_by(private, SHA).values())
    assert check(public, SHA, values) in values[0]
    assert reason(lambda: check(public, "cd" * 32, values)) == "BAD_SIGNATURE"
    assert reason(lambda: check(other, SHA, values)) == "WRONG_KEY"
    assert reason(lambda: check(public, SHA, [])) == "UNSIGNED"
    assert reason(lambda: check(public, SHA, ["ed25519 mine trust-me", ""])) == "UNSIGNED"
    (another,) = made_by(keys(tmp_path, "third")[0], SHA).values()
    forged = " ".join([*values[0].split()[:2], another.split()[2]])  # my name over another's signature
    assert reason(lambda: check(public, SHA, [forged])) == "BAD_SIGNATURE"
    assert check(public, SHA, [forged, *values])


def test_keys_that_are_none(tmp_path: Path) -> None:
    private, public = keys(tmp_path, "mine")
    rsa = tmp_path / "rsa.pem"
    made = generate_private_key(65537, 2048)
    rsa.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for file in (rsa, public):
        file.chmod(0o600)
    for file, wanted in ((rsa, "BAD_KEY"), (public, "BAD_KEY"), (tmp_path / "none.pem", "KEY_NOT_FOUND")):
        assert reason(lambda file=file: made_by(file, SHA)) == wanted
    private.chmod(0o644)
    assert reason(lambda: made_by(private, SHA)) == "KEY_NOT_PRIVATE"


def test_openssl_agrees(tmp_path: Path) -> None:
    private, public = keys(tmp_path, "mine")
    (value,) = made_by(private, SHA).values()
    (tmp_path / "signature.bin").write_bytes(base64.b64decode(value.split()[2]))
    (tmp_path / "signed.txt").write_text(f"agentforge model {SHA}\n")
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-in", tmp_path / "signed.txt",
         "-sigfile", tmp_path / "signature.bin"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    for name, value in (("HOME", home), ("PIPELINE", "tests.phases.pipeline")):
        monkeypatch.setenv(f"AGENTFORGE_{name}", str(value))
    return home


def register(name: str, source: Path) -> None:
    assert models.register("", name, str(source), "", "", [], "", as_json=True) == 0


def test_signed_in_the_registry_and_checked_after_export(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = keys(tmp_path, "mine")
    other = keys(tmp_path, "other")[1]
    source = model(tmp_path / "mine")
    (source / "README.md").write_text("the maker's own")
    register("m", source)
    assert reason(lambda: models.verify("", "m", replay=False, public_key=public, as_json=True)) == "UNSIGNED"
    assert models.sign("", "m", private, as_json=False) == 0
    assert "signed  ed25519 " in capsys.readouterr().out
    assert models.verify("", "m", replay=False, public_key=public, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], len(told["signed_by"])) == (True, 64)
    assert reason(lambda: models.verify("", "m", replay=False, public_key=other, as_json=True)) == "WRONG_KEY"
    assert export("m", tmp_path / "out", "") == 0
    assert (tmp_path / "out/README.phase.md").read_text() == "the maker's own"
    assert verified(tmp_path / "out", public) == []
    assert verified(tmp_path / "out", other) == ["WRONG_KEY"]
    assert verified(tmp_path / "out", None) == []
    register("again", tmp_path / "out")  # an export that is brought in holds the names of one
    assert models.sign("", "again", private, as_json=True) == 0
    assert export("again", tmp_path / "twice", "") == 0
    assert verified(tmp_path / "twice", public) == []
    assert (tmp_path / "twice/README.phase.phase.md").read_text() == (tmp_path / "out/README.md").read_text()


def verified(place: Path, public: Path | None) -> list[str]:
    """Reasons of what failed."""
    from agentforge.cli.exported import verify_exported

    return [check.reason for check in verify_exported(place, public).failures]


def append(name: str) -> Callable[[Path], object]:
    return lambda place: (place / name).write_bytes((place / name).read_bytes() + b" ")


def trade_places(place: Path) -> None:
    """Two files, and the manifest's word for where they are; every digest is still right."""
    told = json.loads((place / "agentforge.manifest.json").read_text())
    one, two = (file for file in told["files"] if file["path"] in ("config.json", "generation_config.json"))
    one["as"], two["as"] = two["as"], one["as"]
    (place / "agentforge.manifest.json").write_text(json.dumps(told))
    (place / "config.json").rename(place / "aside")
    (place / "generation_config.json").rename(place / "config.json")
    (place / "aside").rename(place / "generation_config.json")


def card_as_code(place: Path) -> None:
    """The signed README of the maker is exported under another name; which, is not for anybody to choose."""
    told = json.loads((place / "agentforge.manifest.json").read_text())
    next(file for file in told["files"] if file["path"] == "README.md")["as"] = "modeling.py"
    (place / "agentforge.manifest.json").write_text(json.dumps(told))
    (place / "README.phase.md").rename(place / "modeling.py")


def another_digest(place: Path) -> None:
    """A file and its line in the manifest: the manifest is no longer what was signed."""
    import hashlib

    (place / "config.json").write_text("{}")
    told = json.loads((place / "agentforge.manifest.json").read_text())
    file = next(file for file in told["files"] if file["path"] == "config.json")
    file |= {"size": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
    (place / "agentforge.manifest.json").write_text(json.dumps(told))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file altered": (append("model.safetensors"), "ARTIFACT_FILE_ALTERED"),
    "a file missing": (lambda place: (place / "config.json").unlink(), "ARTIFACT_FILE_MISSING"),
    "a file more": (lambda place: (place / "modeling.py").write_text("import os"), "ARTIFACT_FILE_EXTRA"),
    "two files changed places": (trade_places, "BAD_MANIFEST"),
    "a text that becomes code": (card_as_code, "BAD_MANIFEST"),
    "a file and its digest": (another_digest, "BAD_SIGNATURE"),
    "no signature": (lambda place: (place / "agentforge.sig").unlink(), "UNSIGNED"),
    "no JSON": (lambda place: (place / "agentforge.manifest.json").write_text("{"), "BAD_MANIFEST"),
    "no list": (lambda place: (place / "agentforge.manifest.json").write_text('{"files": [1]}'), "BAD_MANIFEST"),
}


def test_what_was_changed_after_signing_is_told(home: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path, "mine")
    source = model(tmp_path / "mine")
    (source / "generation_config.json").write_text("[]")
    (source / "README.md").write_text("import os")
    register("m", source)
    assert models.sign("", "m", private, as_json=True) == 0
    assert export("m", tmp_path / "out", "") == 0
    for how, (spoil, wanted) in SPOILT.items():
        place = tmp_path / how.replace(" ", "-")
        shutil.copytree(tmp_path / "out", place)
        spoil(place)
        assert verified(place, public) == [wanted], how


def test_what_is_damaged_is_not_signed(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register("m", model(tmp_path / "mine"))
    (file,) = home.glob("imports/*/m/config.json")
    file.write_text("{}")
    with pytest.raises(DataLoss, match=r"config\.json"):
        models.sign("", "m", keys(tmp_path, "mine")[0], as_json=True)
    capsys.readouterr()
    models.show("", "m:1.0.0", as_json=True)
    assert json.loads(capsys.readouterr().out)["tags"] == {}
