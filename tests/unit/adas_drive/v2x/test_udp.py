"""Real sockets: other processes, multicast, full buffers, senders that die."""

from __future__ import annotations

import time

import pytest

from agentforge.kit.errors import Unavailable
from agentforge.phase7_adas.drive.v2x.agent import V2x
from agentforge.phase7_adas.drive.v2x.envelope import MOST_OCTETS
from agentforge.phase7_adas.drive.v2x.load import now_us
from agentforge.phase7_adas.drive.v2x.measure_load import ended, measure_load, sending
from agentforge.phase7_adas.drive.v2x.receiver import Receiver
from agentforge.phase7_adas.drive.v2x.station import Station
from agentforge.phase7_adas.drive.v2x.told import Told
from agentforge.phase7_adas.drive.v2x.udp import GROUP, LOOPBACK, Address, Listener, Speaker, UdpLink
from tests.unit.adas_drive.v2x.made import TOLD, bsm, drive, stream


class Pair:
    def __init__(self, address: Address | None = None, **how: int) -> None:
        self.listener = Listener(address, **how)
        self.speaker = Speaker(self.listener.address)

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        self.speaker.close()


def awaited(listener: Listener, many: int) -> list[bytes]:
    out: list[bytes] = []
    until = time.monotonic() + 5.0
    while len(out) < many and time.monotonic() < until:
        out += listener.receive()
    return out


@pytest.mark.parametrize("address", [Address(), Address(GROUP)], ids=["unicast", "multicast"])
def test_what_is_sent_is_received_in_order(address: Address) -> None:
    with Pair(address) as pair:
        sent = [datagram for _, datagram in stream(count=30)]
        pair.speaker.send(sent)
        assert awaited(pair.listener, 30) == sent
        assert (pair.speaker.sent, pair.speaker.refused) == (30, 0)


def test_nothing_there_does_not_wait() -> None:
    with Pair() as pair:
        began = time.monotonic()
        assert pair.listener.receive() == []
        assert time.monotonic() - began < 0.5


def test_one_call_takes_no_more_than_it_may_and_the_rest_stays() -> None:
    with Pair() as pair:
        sent = [bsm(sequence=n) for n in range(50)]
        pair.speaker.send(sent)
        time.sleep(0.05)
        assert pair.listener.receive(20) == sent[:20]
        assert pair.listener.receive(0) == []
        assert awaited(pair.listener, 30) == sent[20:]


def test_a_datagram_that_is_too_long_is_dropped_for_its_length() -> None:
    with Pair() as pair:
        pair.speaker.send([bsm() + bytes(MOST_OCTETS), b"", bytes(MOST_OCTETS + 1)])
        receiver = Receiver()
        receiver.take(awaited(pair.listener, 3), TOLD.t_us)
        assert receiver.dropped == {"length": 3}


def test_what_the_system_does_not_take_is_counted() -> None:
    with Pair() as pair:
        pair.speaker.send([bytes(70_000), bsm()])
        assert (pair.speaker.sent, pair.speaker.refused) == (1, 1)


def test_a_port_that_is_taken_is_told() -> None:
    with Pair() as pair, pytest.raises(Unavailable) as caught:
        Listener(pair.listener.address)
    assert caught.value.reason == "V2X_SOCKET"
    assert str(pair.listener.address.port) in str(caught.value)


def test_a_full_socket_buffer_is_told_as_loss() -> None:
    """Nobody receives while 400 come in; what the kernel dropped is missing between the numbers."""
    with Pair(receive_buffer=1) as pair:  # the kernel makes it its least
        agent = V2x(UdpLink(pair.listener, pair.speaker), Receiver(), most_per_step=1000)
        told = [drive(TOLD, n / 1000) for n in range(400)]
        pair.speaker.send(bsm(each, n) for n, each in enumerate(told))
        time.sleep(0.05)
        agent.step(told[-1].t_us)
        kept = agent.received
        assert 0 < kept < 400
        last = drive(TOLD, 0.5)
        pair.speaker.send([bsm(last, 400)])  # the next that is heard says how many were not
        time.sleep(0.05)
        agent.step(last.t_us)
        assert agent.received == kept + 1
        assert agent.lost == 400 - kept


def test_two_agents_hear_each_other_and_not_themselves() -> None:
    one, two = Listener(Address(GROUP)), None
    try:
        two = Listener(one.address)
        agents = []
        for number, listener in ((1, one), (2, two)):
            link = UdpLink(listener, Speaker(listener.address))
            agents.append(V2x(link, station=Station(number)))
        for number, agent in enumerate(agents, 1):
            agent.tell(Told(number, TOLD.t_us, 10.0 * number, 0.0, 0.0, 5.0))
        time.sleep(0.05)
        heard = [agent.step(TOLD.t_us + 1000) for agent in agents]
        assert [[each.station for each in some] for some in heard] == [[2], [1]]
        assert [agent.sent for agent in agents] == [2, 2]
        assert all(agent.dropped == {"own": 2} for agent in agents)
    finally:
        one.close()
        if two:
            two.close()


def test_one_without_a_station_cannot_tell() -> None:
    with Pair() as pair, pytest.raises(ValueError, match="without a station"):
        V2x(UdpLink(pair.listener, pair.speaker)).tell(TOLD)


def test_a_sender_that_is_killed_leaves_no_more_than_silence() -> None:
    with Pair() as pair:
        agent = V2x(UdpLink(pair.listener, pair.speaker))
        sender = sending(pair.listener.address, 20, 60.0)
        try:
            until = time.monotonic() + 20.0
            while agent.receiver.accepted < 100 and time.monotonic() < until:
                agent.step(now_us())
                time.sleep(0.02)
            assert agent.receiver.accepted >= 100
        finally:
            sender.kill()
            sender.wait()
            assert sender.stdout is not None
            sender.stdout.close()
        while agent.step(now_us()):
            time.sleep(0.02)
        assert agent.step(now_us()) == ()
        before = agent.receiver.accepted
        time.sleep(0.6)  # until what it said is stale
        again = sending(pair.listener.address, 20, 0.5)
        until = time.monotonic() + 20.0
        while again.poll() is None and time.monotonic() < until:
            agent.step(now_us())
            time.sleep(0.02)
        told = ended(again)
        agent.step(now_us())
        assert agent.receiver.accepted - before == told["sent"] == 100
        assert agent.lost == 0


def test_a_light_load_from_another_process_arrives_whole() -> None:
    got = measure_load(stations=40, seconds=1.5)
    assert got["sender"]["sent"] == got["received"] == got["accepted"] == 600
    assert (got["lost_by_count"], got["lost_by_sequence"], got["dropped"]) == (0, 0, {})
    assert 0 < got["cpu_share_of_one_core"] < 0.5


@pytest.mark.slow
def test_two_hundred_stations_at_10_hz_arrive_whole_on_one_core() -> None:
    got = measure_load(stations=200, seconds=10.0)
    assert got["sender"]["sent"] == got["received"] == got["accepted"] == 20_000
    assert (got["lost_by_count"], got["lost_by_sequence"], got["dropped"]) == (0, 0, {})
    assert got["cpu_share_of_one_core"] < 0.5


def test_loopback_is_where_it_listens_unless_told() -> None:
    with Pair() as pair:
        assert pair.listener.address.host == LOOPBACK
        assert pair.listener.address.port > 0
