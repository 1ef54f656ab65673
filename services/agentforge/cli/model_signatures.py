"""Signatures of registered models: Ed25519, over one line that names the digest of all the model's files.

A signature is a tag of the version, `signature/<first 16 letters of the key's fingerprint>`: so it is kept, shown
and exported with it, and whoever has the public key can check it. Without agentforge, with OpenSSL from 3.0 on:

    printf 'agentforge model %s\\n' SHA256 > signed.txt
    cut -d' ' -f3 agentforge.sig | base64 -d > signature.bin
    openssl pkeyutl -verify -rawin -pubin -inkey PUBLIC.pem -in signed.txt -sigfile signature.bin
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path

from agentforge.edge.package.signing import fingerprint, load_private_key, load_public_key
from agentforge.kit.errors import DataLoss

PREFIX = "signature/"
_FORM = re.compile(r"ed25519 ([0-9a-f]{64}) ([A-Za-z0-9+/]{86}==)")


def signed_bytes(sha256: str) -> bytes:
    """Not the bare digest: the same key may sign other things, and none is to pass for another."""
    return f"agentforge model {sha256}\n".encode()


def made_by(key_file: Path, sha256: str) -> dict[str, str]:
    """The tag that says so."""
    key = load_private_key(key_file)
    name = fingerprint(key.public_key())
    value = base64.b64encode(key.sign(signed_bytes(sha256))).decode()
    return {PREFIX + name[:16]: f"ed25519 {name} {value}"}


def signers(tags: Mapping[str, str]) -> list[str]:
    """Fingerprints that signatures name, true or not."""
    return sorted(found[1] for name, value in tags.items() if name.startswith(PREFIX) and (found := _read(value)))


def check(public_key: Path, sha256: str, signatures: list[str]) -> str:
    """The fingerprint of the key; raises unless one of the signatures is its, of this digest."""
    from cryptography.exceptions import InvalidSignature

    key = load_public_key(public_key)
    known = fingerprint(key)
    named = [read for value in signatures if (read := _read(value))]
    mine = [raw for name, raw in ((one[1], one[2]) for one in named) if name == known]
    if not mine:
        others = ", ".join(sorted({f"{one[1][:16]}…" for one in named}))
        message = f"it is signed by {others}, and not by {known[:16]}…" if named else "it bears no signature"
        step = "Ask who signs models for their public key." if named else "Sign it: agentforge models sign."
        raise DataLoss(message, reason="WRONG_KEY" if named else "UNSIGNED", field="signature", next_step=step)
    for raw in mine:
        try:
            key.verify(base64.b64decode(raw), signed_bytes(sha256))
        except InvalidSignature:
            continue
        return known
    message = f"the signature by {known[:16]}… is of other files than these ({sha256[:16]}…)"
    step = "Get the model again, or have it signed again."
    raise DataLoss(message, reason="BAD_SIGNATURE", field="signature", next_step=step)


def _read(value: str) -> re.Match[str] | None:
    return _FORM.fullmatch(value.strip())
