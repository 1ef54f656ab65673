"""Datagrams between processes: unicast or multicast, on this machine or a local net. Never waits."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from agentforge.kit.errors import Unavailable
from agentforge.phase7_adas.drive.v2x.envelope import MOST_OCTETS

LOOPBACK = "127.0.0.1"
GROUP = "239.255.42.99"
"""A group of the range that never leaves an organisation."""
RECEIVE_BUFFER = 1 << 20
"""Octets; the kernel may give less. A datagram takes more of it than its own octets."""
MOST_PER_CALL = 512


@dataclass(frozen=True)
class Address:
    host: str = LOOPBACK
    port: int = 0
    """0: any free one."""
    interface: str = LOOPBACK
    """Of multicast."""

    @property
    def multicast(self) -> bool:
        return ipaddress.ip_address(self.host).is_multicast


class Listener:
    """Receives. What is one octet too long comes in cut to one octet too long, and is dropped for its length."""

    def __init__(self, address: Address | None = None, receive_buffer: int = RECEIVE_BUFFER) -> None:
        asked = address or Address()
        self._socket = _opened()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if asked.multicast:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._socket.bind((asked.host, asked.port))
                member = socket.inet_aton(asked.host) + socket.inet_aton(asked.interface)
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            else:
                self._socket.bind((asked.host, asked.port))
        except OSError as error:
            self._socket.close()
            raise Unavailable(
                f"cannot listen for V2X at {asked.host}:{asked.port}: {error}",
                reason="V2X_SOCKET",
                field="v2x.address",
                next_step="Choose another port or interface, or end what holds it.",
            ) from error
        self.address = Address(asked.host, self._socket.getsockname()[1], asked.interface)

    def receive(self, most: int = MOST_PER_CALL) -> list[bytes]:
        """What is there, oldest first, at most so many; the rest stays for the next call."""
        out: list[bytes] = []
        receive = self._socket.recv
        try:
            while len(out) < most:
                out.append(receive(MOST_OCTETS + 1))
        except BlockingIOError:
            pass
        except ConnectionError:  # some systems tell here that an earlier send of ours found nobody
            pass
        return out

    def close(self) -> None:
        self._socket.close()


class Speaker:
    """Sends. What the system does not take is counted in `refused`, not sent later."""

    def __init__(self, address: Address) -> None:
        self._socket = _opened()
        self._to = (address.host, address.port)
        self.sent = self.refused = 0
        if address.multicast:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, struct.pack("b", 1))
            interface = socket.inet_aton(address.interface)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)

    def send(self, datagrams: Iterable[bytes]) -> None:
        for each in datagrams:
            try:
                self._socket.sendto(each, self._to)
                self.sent += 1
            except OSError:
                self.refused += 1

    def close(self) -> None:
        self._socket.close()


class UdpLink:
    """Both ways, as the agent wants them."""

    def __init__(self, listener: Listener, speaker: Speaker) -> None:
        self._listener, self._speaker = listener, speaker

    def receive(self, most: int) -> list[bytes]:
        return self._listener.receive(most)

    def send(self, datagrams: Iterable[bytes]) -> None:
        self._speaker.send(datagrams)


def _opened() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
