"""Messages between agents: at least once over the wire, once and in each sender's order to who reads them.

In one process and in memory: what was published is on disk, and a resumed run says it again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentforge.kit.errors import ResourceExhausted


@dataclass(frozen=True, slots=True)
class Message:
    """`number` counts from 1 for each pair of sender and receiver."""

    sender: str
    receiver: str
    number: int
    body: Mapping[str, Any]

    @property
    def id(self) -> str:
        return f"{self.sender}>{self.receiver}#{self.number}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """An acknowledgement; it can be lost as a message can."""

    message: Message


Packet = Message | Receipt
Wire = Callable[[Packet, Callable[[Packet], None]], None]
"""Carries a packet: calls the function with it, in the usual case once and at once."""


def direct(packet: Packet, deliver: Callable[[Packet], None]) -> None:
    deliver(packet)


@dataclass(slots=True)
class _Unacknowledged:
    message: Message
    deliveries: int
    due: float


@dataclass(slots=True)
class _Inbox:
    ready: deque[Message] = field(default_factory=deque)
    early: dict[str, Message] = field(default_factory=dict)  # those before them are not here yet
    last: dict[str, int] = field(default_factory=dict)  # by sender: number of the newest that is in order

    def __len__(self) -> int:
        return len(self.ready) + len(self.early)


class DataFlowCoordinator:
    """Not for several threads at once. `again_s`: how long to wait for a receipt."""

    def __init__(
        self, *, wire: Wire = direct, again_s: float = 0.5, deliveries: int = 10, capacity: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._wire, self._again_s, self._most, self._capacity = wire, again_s, deliveries, capacity
        self._clock = clock
        self._numbers: dict[tuple[str, str], int] = {}
        self._waiting: dict[str, _Unacknowledged] = {}
        self._inboxes: dict[str, _Inbox] = {}
        self.counts = dict.fromkeys(("sent", "redelivered", "duplicates", "early", "refused"), 0)

    def send(self, sender: str, receiver: str, body: Mapping[str, Any]) -> Message:
        if len(self._waiting) >= self._capacity:
            message = f"{len(self._waiting):,} messages wait for a receipt; {sender} cannot send another"
            raise ResourceExhausted(message, reason="QUEUE_FULL", field=receiver)
        number = self._numbers[sender, receiver] = self._numbers.get((sender, receiver), 0) + 1
        message_ = Message(sender, receiver, number, body)
        self.counts["sent"] += 1
        self.send_again(message_)
        return message_

    def send_again(self, message: Message) -> None:
        """As if nobody had tried yet."""
        self._waiting[message.id] = _Unacknowledged(message, 0, self._clock())
        self._try(self._waiting[message.id])

    def receive(self, receiver: str) -> list[Message]:
        """What has come in since the last call, each message once, those of a sender in order."""
        inbox = self._inboxes.setdefault(receiver, _Inbox())
        messages, inbox.ready = list(inbox.ready), deque()
        return messages

    def pump(self) -> list[Message]:
        """Deliver again what is due. Returns what was tried too often; it is not tried any more."""
        given_up = []
        for each in [one for one in self._waiting.values() if one.due <= self._clock()]:
            if each.deliveries >= self._most:
                given_up.append(self._waiting.pop(each.message.id).message)
            elif each.message.id in self._waiting:  # no receipt came by an earlier one's delivery
                self.counts["redelivered"] += 1
                self._try(each)
        return given_up

    @property
    def due(self) -> float | None:
        """When `pump` has something to do, by the clock."""
        return min((each.due for each in self._waiting.values()), default=None)

    def _try(self, each: _Unacknowledged) -> None:
        each.deliveries += 1
        each.due = self._clock() + self._again_s
        self._wire(each.message, self._arrived)

    def _arrived(self, packet: Packet) -> None:
        if isinstance(packet, Receipt):
            self._waiting.pop(packet.message.id, None)
        elif self._taken(packet):
            self._wire(Receipt(packet), self._arrived)

    def _taken(self, message: Message) -> bool:
        """Whether it is here for good. Where the inbox is full it is not: it comes again."""
        inbox = self._inboxes.setdefault(message.receiver, _Inbox())
        last = inbox.last.get(message.sender, 0)
        if message.number <= last or message.id in inbox.early:
            self.counts["duplicates"] += 1  # its receipt was lost: another one is due
            return True
        if len(inbox) >= self._capacity:
            self.counts["refused"] += 1
            return False
        inbox.early[message.id] = message
        self.counts["early"] += message.number > last + 1
        while (following := inbox.early.pop(_id_after(message, last), None)) is not None:
            inbox.ready.append(following)
            inbox.last[message.sender] = last = following.number
        return True


def _id_after(message: Message, last: int) -> str:
    return Message(message.sender, message.receiver, last + 1, {}).id
