"""TLS and mTLS of a server: certificates from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

from agentforge.kit.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. With `client_ca` only clients with a certificate of that authority get in (mTLS)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def server_credentials(self) -> grpc.ServerCredentials:
        pair = (read_pem(self.key, "tls.key"), read_pem(self.certificate, "tls.certificate"))
        if self.client_ca is None:
            return grpc.ssl_server_credentials([pair])
        ca = read_pem(self.client_ca, "tls.client_ca")
        return grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=True)


def read_pem(path: Path, field: str) -> bytes:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", reason="TLS_FILE", field=field) from None
    if b"-----BEGIN " not in text:
        raise InvalidInput(f"{path} is no PEM file", reason="TLS_FILE", field=field)
    return text
