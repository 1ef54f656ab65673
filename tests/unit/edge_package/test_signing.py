"""Keys of every kind, and signatures that OpenSSL reads."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agentforge.edge.package.layout import MANIFEST, SIGNATURE
from agentforge.edge.package.signing import (
    fingerprint,
    load_private_key,
    load_public_key,
    sign_staged,
    signature_of,
    signer,
    verify_signature,
)
from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput, NotFound
from tests.unit.edge_package.keys import private_file, public_file


def test_a_signature_is_of_these_bytes_and_this_key(key: Ed25519PrivateKey) -> None:
    signature = signature_of(b"manifest", key)
    assert signature == signature_of(b"manifest", key)  # or the package would not be reproducible
    assert verify_signature(b"manifest", signature, key.public_key()) == signer(signature)
    with pytest.raises(DataLoss, match="is not what key") as altered:
        verify_signature(b"manifesT", signature, key.public_key())
    assert altered.value.reason == "BAD_SIGNATURE"
    other = Ed25519PrivateKey.generate()
    with pytest.raises(DataLoss, match="signed by key") as wrong:
        verify_signature(b"manifest", signature, other.public_key())
    assert wrong.value.reason == "WRONG_KEY"
    claimed = signature.replace(signer(signature).encode(), fingerprint(other.public_key()).encode())
    with pytest.raises(DataLoss, match="is not what key"):
        verify_signature(b"manifest", claimed, other.public_key())


@pytest.mark.parametrize(
    "broken", [b"", b"\xff" * 90, b"ed25519 00\nAA==\n", b"rsa " + b"0" * 64 + b"\n" + b"A" * 86 + b"==\n"]
)
def test_what_is_no_signature_is_refused(key: Ed25519PrivateKey, broken: bytes) -> None:
    with pytest.raises(DataLoss, match="is no signature"):
        verify_signature(b"manifest", broken, key.public_key())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_openssl_verifies_it_as_documented(staged: Path, tmp_path: Path) -> None:
    openssl: list[str | Path] = ["openssl"]
    private, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    subprocess.run([*openssl, "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    private.chmod(0o600)
    subprocess.run([*openssl, "pkey", "-in", private, "-pubout", "-out", public], check=True)
    named = sign_staged(staged, load_private_key(private))
    assert named == fingerprint(load_public_key(public))
    der = subprocess.run(
        [*openssl, "pkey", "-pubin", "-in", public, "-outform", "DER"], check=True, capture_output=True
    )
    digest = subprocess.run(["sha256sum"], input=der.stdout, check=True, capture_output=True)
    assert digest.stdout.split()[0].decode() == named
    (tmp_path / "signature.bin").write_bytes(base64.b64decode((staged / SIGNATURE).read_text().splitlines()[-1]))
    command: list[str | Path] = [
        *openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public,
        "-in", staged / MANIFEST, "-sigfile", tmp_path / "signature.bin",
    ]  # fmt: skip
    assert subprocess.run(command, check=False).returncode == 0
    (staged / MANIFEST).write_bytes((staged / MANIFEST).read_bytes() + b" ")
    assert subprocess.run(command, check=False).returncode != 0


def test_other_kinds_of_keys_are_named(tmp_path: Path) -> None:
    kinds = {
        "RSA": rsa.generate_private_key(65537, 1024),
        "EC": ec.generate_private_key(ec.SECP256R1()),
        "Ed448": ed448.Ed448PrivateKey.generate(),
        "X25519": x25519.X25519PrivateKey.generate(),
        "DSA": dsa.generate_private_key(1024),
    }
    for kind, other in kinds.items():
        with pytest.raises(InvalidInput, match=f"of kind {kind}; Ed25519 is taken"):
            load_private_key(private_file(tmp_path / "key.pem", other))
        with pytest.raises(InvalidInput, match=f"of kind {kind}; Ed25519 is taken"):
            load_public_key(public_file(tmp_path / "key.pub.pem", other))


def test_passphrases(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    locked = private_file(tmp_path / "locked.pem", key, b"open sesame")
    assert fingerprint(load_private_key(locked, b"open sesame").public_key()) == fingerprint(key.public_key())
    with pytest.raises(FailedPrecondition, match="is encrypted, and no passphrase"):
        load_private_key(locked)
    with pytest.raises(InvalidInput, match="does not open with this passphrase"):
        load_private_key(locked, b"wrong")
    with pytest.raises(InvalidInput, match="is not encrypted"):
        load_private_key(private_file(tmp_path / "open.pem", key), b"open sesame")


@pytest.mark.parametrize(
    ("mode", "whose"), [(0o644, "everybody"), (0o640, "the file's group"), (0o606, "everybody")]
)
def test_a_key_that_others_can_read_is_refused(
    tmp_path: Path, key: Ed25519PrivateKey, mode: int, whose: str
) -> None:
    with pytest.raises(InvalidInput, match=f"is open to {whose}.*{mode:04o}") as caught:
        load_private_key(private_file(tmp_path / "key.pem", key, mode=mode))
    assert caught.value.next_step.startswith("chmod 600")


def test_files_that_are_no_keys(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    public = public_file(tmp_path / "key.pub.pem", key)
    public.chmod(0o600)
    with pytest.raises(InvalidInput, match="holds a PUBLIC key, not a private key"):
        load_private_key(public)
    with pytest.raises(InvalidInput, match="holds a PRIVATE key, not a public key"):
        load_public_key(private_file(tmp_path / "key.pem", key))
    ssh = tmp_path / "id_ed25519"
    ssh.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    ssh.chmod(0o600)
    with pytest.raises(InvalidInput, match="holds an OPENSSH PRIVATE key"):
        load_private_key(ssh)
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text").chmod(0o600)
    with pytest.raises(InvalidInput, match="is no private key in PEM form"):
        load_private_key(tmp_path / "text")
    with pytest.raises(NotFound, match="there is no key at"):
        load_private_key(tmp_path / "absent")
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_public_key(tmp_path)
