"""The hook for signatures, with Ed25519 behind it, or nothing.

This is not IEEE 1609.2 (nor ETSI TS 103 097): no certificates, no pseudonyms that change, no revocation, no
permissions; the keys of all stations are simply known. It shows that what no known key has signed goes no
further, and what that costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from agentforge.kit.errors import MissingTool

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519_OCTETS = 64


class Signer(Protocol):
    def sign(self, octets: bytes) -> bytes: ...


class Verifier(Protocol):
    asked: bool
    """Whether messages without a signature are dropped."""
    octets: int
    """How long a signature is."""

    def verify(self, station: int, octets: bytes, signature: bytes) -> bool: ...


class Unsigned:
    """Signs nothing, asks for nothing; a signature that comes all the same is not looked at."""

    asked = False
    octets = 0

    def sign(self, octets: bytes) -> bytes:
        return b""

    def verify(self, station: int, octets: bytes, signature: bytes) -> bool:
        return True


class Ed25519Signer:
    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def from_seed(cls, seed: bytes) -> Ed25519Signer:
        """The key whose 32 secret octets these are."""
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError as error:
            raise MissingTool(
                "signatures need cryptography, which is not installed",
                field="cryptography",
                next_step="Install it: pip install 'agentforge[edge]'.",
            ) from error
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def public(self) -> Ed25519PublicKey:
        return self._key.public_key()

    def sign(self, octets: bytes) -> bytes:
        return self._key.sign(octets)


class Ed25519Verifier:
    """Knows the public key of each station that it will believe."""

    asked = True
    octets = ED25519_OCTETS

    def __init__(self, keys: Mapping[int, Ed25519PublicKey]) -> None:
        self._keys = dict(keys)

    def verify(self, station: int, octets: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        key = self._keys.get(station)
        if key is None:
            return False
        try:
            key.verify(signature, octets)
        except InvalidSignature:
            return False
        return True
