from __future__ import annotations

from collections.abc import Callable

import pytest

from agentforge.kit.agents.messages import DataFlowCoordinator, Message, Packet, Receipt
from agentforge.kit.errors import ResourceExhausted
from agentforge.kit.rng import Rng

Deliver = Callable[[Packet], None]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Wire:
    """Does with the next packets what it is told: "drop", "twice" or "late"; then it is a good wire."""

    def __init__(self, *faults: str) -> None:
        self.faults = list(faults)
        self.late: list[tuple[Packet, Deliver]] = []

    def __call__(self, packet: Packet, deliver: Deliver) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "late":
            self.late.append((packet, deliver))
        elif fault != "drop":
            deliver(packet)
            if fault == "twice":
                deliver(packet)

    def catch_up(self) -> None:
        waiting, self.late = self.late, []
        for packet, deliver in waiting:
            deliver(packet)


def coordinator(wire: Wire, **fields: int) -> tuple[DataFlowCoordinator, Clock]:
    clock = Clock()
    return DataFlowCoordinator(wire=wire, again_s=1.0, clock=clock, **fields), clock


def numbers(messages: list[Message]) -> list[int]:
    return [each.body["n"] for each in messages]


def test_messages_arrive_once_and_in_order() -> None:
    mail, _ = coordinator(Wire())
    for n in range(3):
        mail.send("a", "b", {"n": n})
    assert numbers(mail.receive("b")) == [0, 1, 2]
    assert mail.receive("b") == []
    assert mail.due is None


@pytest.mark.parametrize("packet", ["message", "receipt"])
def test_what_is_lost_is_delivered_again(packet: str) -> None:
    mail, clock = coordinator(Wire(*(["drop"] if packet == "message" else ["", "drop"])))
    mail.send("a", "b", {"n": 0})
    assert [mail.due] == [1.0]
    assert mail.pump() == []
    assert mail.counts["redelivered"] == 0
    clock.now = 1.0
    mail.pump()
    assert numbers(mail.receive("b")) == [0]
    assert mail.due is None
    assert (mail.counts["redelivered"], mail.counts["duplicates"]) == (1, int(packet == "receipt"))


def test_a_message_that_comes_twice_is_read_once() -> None:
    mail, _ = coordinator(Wire("twice", "", "twice"))
    mail.send("a", "b", {"n": 0})
    mail.send("a", "b", {"n": 1})
    assert numbers(mail.receive("b")) == [0, 1]


def test_later_messages_wait_for_a_late_one() -> None:
    wire = Wire("late")
    mail, _ = coordinator(wire)
    mail.send("a", "b", {"n": 0})
    mail.send("a", "b", {"n": 1})
    mail.send("c", "b", {"n": 9})
    assert numbers(mail.receive("b")) == [9]  # another sender's order is its own
    wire.catch_up()
    assert numbers(mail.receive("b")) == [0, 1]


def test_a_message_that_never_arrives_is_given_up() -> None:
    mail, clock = coordinator(Wire(*["drop"] * 3), deliveries=3)
    message = mail.send("a", "b", {"n": 0})
    given_up = []
    for second in range(1, 5):
        clock.now = second
        given_up += mail.pump()
    assert given_up == [message]
    mail.send_again(message)
    assert numbers(mail.receive("b")) == [0]


def test_queues_are_bounded() -> None:
    mail, clock = coordinator(Wire(), capacity=2)
    for n in range(4):
        mail.send("a", "b", {"n": n})
    assert mail.counts["refused"] == 2
    with pytest.raises(ResourceExhausted, match="2 messages wait for a receipt"):
        mail.send("a", "b", {"n": 4})
    assert numbers(mail.receive("b")) == [0, 1]
    clock.now = 1.0
    mail.pump()
    assert numbers(mail.receive("b")) == [2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_any_wire_that_delivers_now_and_then_is_enough(seed: int) -> None:
    random = Rng(seed, "wire").python()
    held: list[tuple[Packet, Deliver]] = []

    def wire(packet: Packet, deliver: Deliver) -> None:
        for _ in range(random.choice([0, 0, 1, 2])):
            if random.random() < 0.3:
                held.append((packet, deliver))
            else:
                deliver(packet)
        if held and random.random() < 0.5:
            late, to = held.pop(random.randrange(len(held)))
            to(late)

    clock = Clock()
    mail = DataFlowCoordinator(wire=wire, again_s=1.0, clock=clock, deliveries=1000)
    got: dict[str, list[int]] = {"a": [], "b": []}
    for n in range(40):
        mail.send("ab"[n % 2], "c", {"n": n, "from": "ab"[n % 2]})
    while mail.due is not None:
        clock.now += 1.0
        assert mail.pump() == []
        for each in mail.receive("c"):
            got[each.body["from"]].append(each.body["n"])
    assert got == {"a": list(range(0, 40, 2)), "b": list(range(1, 40, 2))}


def test_a_receipt_names_its_message() -> None:
    seen: list[Packet] = []

    def wire(packet: Packet, deliver: Deliver) -> None:
        seen.append(packet)
        deliver(packet)

    message = DataFlowCoordinator(wire=wire).send("a", "b", {})
    assert seen == [message, Receipt(message)]
    assert message.id == "a>b#1"
