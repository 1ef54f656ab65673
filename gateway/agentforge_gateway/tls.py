"""TLS of the gateway's HTTP: certificates that are read again when their files change."""

from __future__ import annotations

import logging
import ssl
from typing import Any

from agentforge.kit.errors import InvalidInput
from agentforge.kit.serve.tls import Stamps, TlsFiles

_log = logging.getLogger("agentforge.gateway")


class HttpTls:
    """`context` is for the listening socket. At each handshake the files are looked at; open connections stay."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamps = Stamps(files.paths)
        self.context = self._newest = _context(files)
        self.context.sni_callback = self._renew  # called at every handshake, whether a name is given or not

    def _renew(self, connection: Any, name: str | None, context: ssl.SSLContext) -> None:
        if self._stamps.changed():
            try:
                self._newest = _context(self._files)
                _log.info("the certificate is read again from %s", self._files.certificate)
            except InvalidInput as error:  # half written: the old one serves until it is whole
                self._stamps.again()
                _log.warning("the certificate is not renewed: %s", error)
        if self._newest is not self.context:
            connection.context = self._newest  # its certificate, and the authority of clients, from here on


def _context(files: TlsFiles) -> ssl.SSLContext:
    files.read()  # tells which of the files cannot be read, or is no PEM
    return files.context()
