"""Why there is no connection, where TLS is the reason: in words, because gRPC's are of OpenSSL or say nothing."""

from __future__ import annotations

import socket
import ssl

from agentforge.client.channel import ClientTls
from agentforge.kit.errors import ForgeError, Unavailable

_PROBE_S = 1.0
_CLOSED = ("Socket closed", "Connection reset", "recvmsg", "Broken pipe")
_FAULTS = (  # what gRPC says, what it means, what to do
    ("certificate has expired", "its certificate has expired", "Renew the service's certificate."),
    ("certificate is not yet valid", "its certificate is not valid yet", "Set the clocks of both machines."),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is not of an authority that is trusted here",
        "Name the authority (PEM) that signed it; see docs/access.md.",
    ),
    (
        "Hostname Verification",
        "its certificate is for another name",
        "Use a name that the certificate has as a subject alternative name.",
    ),
    (
        "certificate signature failure",
        "its certificate is not of an authority that is trusted here, only of one with the same name",
        "Name the authority (PEM) that signed it: it was made anew, perhaps.",
    ),
    ("WRONG_VERSION_NUMBER", "it speaks no TLS", "Connect without TLS, or start it with --tls-cert and --tls-key."),
)  # fmt: skip


def explained(error: ForgeError, target: str, tls: ClientTls | None) -> ForgeError:
    """The same error, or a better one. Where a connection without TLS was closed without a word, it knocks once
    more to see whether TLS is spoken there, for up to a second."""
    if not isinstance(error, Unavailable):
        return error
    for mark, meaning, way_out in _FAULTS:
        if mark in error.message:
            return _told(target, meaning, "TLS_HANDSHAKE", way_out)
    if not any(mark in error.message for mark in _CLOSED):
        return error
    if tls is None:
        if _speaks_tls(target):
            return _told(
                target,
                "it speaks TLS, and was called without",
                "TLS_NEEDED",
                "Name the authority (PEM) that signed its certificate; see docs/access.md.",
            )
    elif tls.certificate is None and _speaks_tls(target):
        return _told(
            target,
            "it closed the connection in the TLS handshake, as one does that wants a client certificate",
            "TLS_HANDSHAKE",
            "Give a client certificate and its key.",
        )
    return error


def _told(target: str, meaning: str, reason: str, way_out: str) -> Unavailable:
    return Unavailable(
        f"no connection to the service at {target}: {meaning}", reason=reason, field=target, next_step=way_out
    )


def _speaks_tls(target: str) -> bool:
    """Whether somebody at HOST:PORT answers a TLS hello. Nothing is sent but that, so nobody need be trusted."""
    host, colon, port = target.removeprefix("dns:///").rpartition(":")
    if not colon or not port.isdecimal() or target.startswith("unix:"):
        return False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PROBE_S) as plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # it refuses us, but in TLS
    except OSError:
        return False
