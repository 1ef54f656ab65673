"""TLS and mTLS: certificates from files, read again when the files change (cert-manager renews them in place)."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from agentforge.kit.errors import InvalidInput

_log = logging.getLogger("agentforge.serve")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. With `client_ca` only clients with a certificate of that authority get in (mTLS)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def server_credentials(self) -> grpc.ServerCredentials:
        """For gRPC. The files are looked at for each new connection; connections that are open stay."""
        fetch: Any = _Fetcher(self)  # its None means "no change", which the stubs do not know
        return grpc.dynamic_ssl_server_credentials(fetch.first, fetch, self.client_ca is not None)

    def read(self) -> grpc.ServerCertificateConfiguration:
        pair = (read_pem(self.key, "tls.key"), read_pem(self.certificate, "tls.certificate"))
        ca = read_pem(self.client_ca, "tls.client_ca") if self.client_ca else None
        self.context()
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=ca)

    def context(self) -> ssl.SSLContext:
        """For servers of Python's own. It finds a key of another certificate, where gRPC only says that it fails"""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (ssl.SSLError, OSError) as error:
            raise InvalidInput(
                f"the certificate {self.certificate} cannot be used: {error}",
                reason="TLS_FILE",
                field="tls_cert, tls_key",
                next_step="Give a certificate (PEM) with the key that it was made for.",
            ) from None
        return context

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.certificate, self.key, self.client_ca) if path is not None)


def tls_files(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    """Of a server's options; None when none is given."""
    if not (certificate or key or client_ca):
        return None
    if certificate is None or key is None:
        raise InvalidInput(
            "TLS needs both a certificate and its key",
            reason="TLS_FILE",
            field="tls_cert, tls_key",
            next_step="Give --tls-cert and --tls-key.",
        )
    return TlsFiles(certificate, key, client_ca)


class Stamps:
    """Whether files have changed since the last look. A renewal may replace the file, or what a link points to."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._seen = self._look()

    def changed(self) -> bool:
        """True once for each change; false while a file is away, which is in the middle of its replacement."""
        now = self._look()
        if now == self._seen or None in now:
            return False
        self._seen = now
        return True

    def again(self) -> None:
        """What was read could not be used: the next look says `changed`, too."""
        self._seen = ()

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._paths)


class _Fetcher:
    """gRPC calls it from threads of its own, at every handshake."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamps = Stamps(files.paths)
        self._lock = threading.Lock()
        self.first = files.read()

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        with self._lock:
            if not self._stamps.changed():
                return None
            try:
                renewed = self._files.read()
            except InvalidInput as error:  # a half-written file: the old certificate serves until it is whole
                self._stamps.again()
                _log.warning("the certificate is not renewed: %s", error)
                return None
            _log.info("the certificate is read again from %s", self._files.certificate)
            return renewed


def read_pem(path: Path, field: str) -> bytes:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", reason="TLS_FILE", field=field) from None
    if b"-----BEGIN " not in text:
        raise InvalidInput(f"{path} is no PEM file", reason="TLS_FILE", field=field)
    return text


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
