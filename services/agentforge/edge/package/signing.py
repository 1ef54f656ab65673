"""Ed25519 signatures over the manifest's exact bytes; the manifest holds the digests of all other files.

manifest.sig has two lines: `ed25519 <sha256 of the public key's DER>`, and the signature in base64. Without
agentforge, with OpenSSL from 3.0 on:

    tail -n 1 manifest.sig | base64 -d > signature.bin
    openssl pkeyutl -verify -rawin -pubin -inkey PUBLIC.pem -in manifest.json -sigfile signature.bin
    sha256sum models/*.onnx        # and so on: each as "files" of manifest.json says
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.edge.package.layout import MANIFEST, SIGNATURE
from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput, MissingTool, NotFound
from agentforge.kit.files import write_atomic

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_MAKE_ONE = "Make one: openssl genpkey -algorithm ed25519 -out key.pem && chmod 600 key.pem"
_MAKE_PUBLIC = "Make it of the private key: openssl pkey -in key.pem -pubout -out key.pub.pem"
_FORM = re.compile(rb"ed25519 ([0-9a-f]{64})\n([A-Za-z0-9+/]{86}==)\n")
_LARGEST = 1 << 16  # bytes of a key file


def sign_staged(staged: Path, key: Ed25519PrivateKey) -> str:
    """Write manifest.sig beside manifest.json; the fingerprint of the public key that belongs to it."""
    signature = signature_of((staged / MANIFEST).read_bytes(), key)
    write_atomic(staged / SIGNATURE, signature)
    return fingerprint(key.public_key())


def signature_of(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    name = fingerprint(key.public_key())
    return f"ed25519 {name}\n{base64.b64encode(key.sign(manifest)).decode()}\n".encode()


def verify_signature(manifest: bytes, signature: bytes, key: Ed25519PublicKey) -> str:
    """The key's fingerprint; raises where the signature is another key's, or of other bytes."""
    from cryptography.exceptions import InvalidSignature

    named, raw = _read_signature(signature)
    known = fingerprint(key)
    if named != known:
        message = f"the package is signed by key {named[:16]}…, not by {known[:16]}…"
        raise _refused(message, "WRONG_KEY", "Ask the package's maker for their public key.")
    try:
        key.verify(raw, manifest)
    except InvalidSignature:
        step = "Get the package again from where it was made."
        raise _refused(f"{MANIFEST} is not what key {known[:16]}… signed", "BAD_SIGNATURE", step) from None
    return known


def signer(signature: bytes) -> str:
    """The fingerprint that a signature names, true or not."""
    return _read_signature(signature)[0]


def fingerprint(key: Ed25519PublicKey) -> str:
    """As `openssl pkey -pubin -in PUBLIC.pem -outform DER | sha256sum` says it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def load_private_key(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Only from a file that nobody else can read."""
    serialization = _serialization()
    data = _read(path, private=True)
    try:
        key = serialization.load_pem_private_key(data, passphrase)
    except TypeError as error:
        raise _unfit_passphrase(path, passphrase, error) from None
    except ValueError as error:
        if passphrase is not None and b"ENCRYPTED" in data:
            raise _bad_key(path, "does not open with this passphrase", "Give the right one.") from None
        raise _bad_key(path, _not_a_key(data, "private"), _MAKE_ONE) from error
    return _ed25519(path, key, "Private", _MAKE_ONE)  # type: ignore[no-any-return]


def load_public_key(path: Path) -> Ed25519PublicKey:
    serialization = _serialization()
    data = _read(path, private=False)
    try:
        key = serialization.load_pem_public_key(data)
    except ValueError as error:
        raise _bad_key(path, _not_a_key(data, "public"), _MAKE_PUBLIC) from error
    return _ed25519(path, key, "Public", _MAKE_PUBLIC)  # type: ignore[no-any-return]


def _serialization() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ModuleNotFoundError as error:
        message = "signatures need the package 'cryptography', which is not installed"
        raise MissingTool(message, field="cryptography", next_step="pip install 'agentforge[edge]'") from error
    return serialization


def _read(path: Path, *, private: bool) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if private and (open_to := status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)):
                whose = "everybody" if open_to & stat.S_IRWXO else "the file's group"
                why = f"is open to {whose} (mode {stat.S_IMODE(status.st_mode):04o})"
                raise _bad_key(path, why, f"chmod 600 {path}", "KEY_NOT_PRIVATE")
            return file.read(_LARGEST)
    except FileNotFoundError:
        raise NotFound(f"there is no key at {path}", reason="KEY_NOT_FOUND", field=str(path)) from None
    except OSError as error:
        raise _bad_key(path, f"cannot be read: {error.strerror}", "") from None


def _ed25519(path: Path, key: Any, part: str, step: str) -> Any:
    """Other kinds are named by their class: RSAPrivateKey, ECPublicKey, Ed448PrivateKey."""
    from cryptography.hazmat.primitives.asymmetric import ed25519

    if isinstance(key, getattr(ed25519, f"Ed25519{part}Key")):
        return key
    kind = type(key).__name__.strip("_").removesuffix("Key").removesuffix(part)
    raise _bad_key(path, f"is a key of kind {kind}; Ed25519 is taken", step)


def _not_a_key(data: bytes, wanted: str) -> str:
    begins = re.search(rb"-----BEGIN ([A-Z0-9 ]+)-----", data)
    if begins is None:
        return f"is no {wanted} key in PEM form"
    label = begins.group(1).decode()
    if wanted not in label.lower() or "OPENSSH" in label:
        article = "an" if label[0] in "AEIOU" else "a"
        return f"holds {article} {label.replace('KEY', 'key')}, not a {wanted} key in PEM form"
    return f"holds a {wanted} key that cannot be read"


def _read_signature(signature: bytes) -> tuple[str, bytes]:
    form = _FORM.fullmatch(signature)
    if form is None:
        raise _refused(f"{SIGNATURE} is no signature", "BAD_SIGNATURE", "Get the package again.")
    try:
        return form.group(1).decode(), base64.b64decode(form.group(2), validate=True)
    except binascii.Error:
        raise _refused(f"{SIGNATURE} is no base64", "BAD_SIGNATURE", "Get the package again.") from None


def _unfit_passphrase(path: Path, passphrase: bytes | None, error: Exception) -> FailedPrecondition | InvalidInput:
    if passphrase is None:
        message = f"{path} is encrypted, and no passphrase was given"
        return FailedPrecondition(
            message, reason="KEY_ENCRYPTED", field=str(path), next_step="Give its passphrase."
        )
    return _bad_key(path, "is not encrypted, but a passphrase was given", "Leave the passphrase out.")


def _bad_key(path: Path, why: str, step: str, reason: str = "BAD_KEY") -> InvalidInput:
    return InvalidInput(f"{path} {why}", reason=reason, field=str(path), next_step=step)


def _refused(message: str, reason: str, step: str) -> DataLoss:
    return DataLoss(message, reason=reason, field=SIGNATURE, next_step=step)
