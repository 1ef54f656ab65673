"""A channel whose certificates are read again when their files change."""

from __future__ import annotations

import asyncio
import logging

import grpc

from agentforge.client.channel import ClientTls
from agentforge.kit.errors import InvalidInput
from agentforge.kit.serve.tls import Stamps

_LAST_S = 7 * 24 * 3600.0  # how long a stream may go on over a connection that was made with older files
_log = logging.getLogger("agentforge.client")


class RenewingChannel:
    """To one service, on an event loop. Without `tls` it is one plain channel."""

    def __init__(self, target: str, tls: ClientTls | None, options: tuple[tuple[str, int], ...]) -> None:
        self.target = target
        self._tls = tls
        self._options = options
        self._stamps = Stamps(tls.paths) if tls else None
        self._channel = self._made()
        self._retired: set[asyncio.Task[None]] = set()

    def current(self) -> grpc.aio.Channel:
        """To be asked for each call: streams that are open stay with the channel that they began on."""
        if self._stamps is not None and self._stamps.changed():
            try:
                renewed = self._made()
            except InvalidInput as error:  # half written: the old ones serve until they are whole
                self._stamps.again()
                _log.warning("the certificates for %s are not renewed: %s", self.target, error)
                return self._channel
            old, self._channel = self._channel, renewed
            closing = asyncio.create_task(old.close(_LAST_S))  # at once, when nothing is open on it
            self._retired.add(closing)
            closing.add_done_callback(self._retired.discard)
        return self._channel

    async def close(self) -> None:
        for closing in list(self._retired):
            closing.cancel()
        await asyncio.gather(*self._retired, return_exceptions=True)
        await self._channel.close()

    def _made(self) -> grpc.aio.Channel:
        if self._tls is None:
            return grpc.aio.insecure_channel(self.target, options=self._options)
        options = (*self._options, *self._tls.options)
        return grpc.aio.secure_channel(self.target, self._tls.credentials(), options=options)
