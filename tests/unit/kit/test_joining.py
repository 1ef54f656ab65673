"""Machines that join: who is refused, who is waited for, and what is told to whom."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit import beats, machines
from agentforge.kit.beats import Beats
from agentforge.kit.errors import ForgeError, InvalidInput, RunFailed, Unavailable
from agentforge.kit.joining import Place, check_told, join
from agentforge.kit.machines import Told, interface_towards
from agentforge.kit.phase import load_object
from agentforge.kit.ranks import Ranks
from agentforge.kit.rundir import RunDirectory
from tests.unit.kit.workers import asked, reach_tests


@pytest.fixture(autouse=True)
def _interface(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what `join` chooses is no choice for later tests."""
    monkeypatch.setenv(machines.INTERFACE_VARIABLE, "lo")


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    reach_tests(monkeypatch)
    return asked(home, "team", processes=4)


@pytest.fixture
def told(run: RunDirectory) -> Told:
    return Told("r1", "team", load_object("tests.phases.team:SPEC").code_digest, 1, 4, 2)


@pytest.fixture
def master() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def stores(master: str, told: Told) -> Any:
    return machines.open_store(master, told)


@pytest.mark.parametrize(
    ("node", "each", "changes", "reason"),
    [
        (1, 0, {"run_id": "r2"}, "ANOTHER_RUN"),
        (1, 0, {"phase": "count"}, "ANOTHER_RUN"),
        (1, 0, {"code_digest": "f" * 64}, "OTHER_CODE"),
        (1, 4, {}, "WRONG_WORLD_SIZE"),
        (2, 0, {}, "WRONG_NODE_RANK"),
        (0, 2, {}, "WRONG_NODE_RANK"),
    ],
)
def test_who_does_not_belong_to_the_run_is_refused(
    run: RunDirectory, told: Told, node: int, each: int, changes: dict[str, Any], reason: str
) -> None:
    check_told(Place(run, 1, "a:1", 2), told)
    with pytest.raises(ForgeError) as caught:
        check_told(Place(run, node, "a:1", each), replace(told, **changes))
    assert caught.value.reason == reason


def test_a_run_that_is_over_is_not_joined(run: RunDirectory) -> None:
    with run.open_log() as log:
        log.append("state_changed", {"state": "RUN_STATE_FAILED", "reason": ""}, 1)
    with pytest.raises(ForgeError, match="is over: FAILED") as caught:
        join(Place(run, 1, "127.0.0.1:1"), print)
    assert caught.value.reason == "RUN_IS_FINAL"


def test_where_nobody_leads_it_waits_and_then_says_so(
    run: RunDirectory, master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTFORGE_GATHER_S", "1")
    with pytest.raises(Unavailable, match="nobody led run r1 of team") as caught:
        join(Place(run, 1, master), lambda text: None)
    assert caught.value.reason == "NO_LEADER"


def test_what_the_leader_says_is_heard_and_a_rank_comes_once(master: str, stores: Any, told: Told) -> None:
    other = machines.reach_store(master)
    assert machines.told_by(other) == told
    machines.come(other, Ranks(2, 4, 0, 2), 1)
    with pytest.raises(Unavailable, match="started for attempt 7; this is attempt 1"):
        machines.come(other, Ranks(3, 4, 0, 2), 7)
    with pytest.raises(Unavailable, match="rank 2 has come"):
        machines.come(other, Ranks(2, 4, 0, 2), 1)


def test_the_leader_waits_for_all_until_its_patience_or_another_machine_ends(
    master: str, stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Ranks(0, 4, 0, 2)
    assert not machines.gather(stores, own, 1, lambda: True)
    for rank in (1, 2):
        machines.come(stores, Ranks(rank, 4, 0, 2), 1)
    monkeypatch.setenv("AGENTFORGE_GATHER_S", "0.3")
    with pytest.raises(RunFailed, match=r"ranks 3 of 4 did not come within 0.3 s") as caught:
        machines.gather(stores, own, 1, lambda: False)
    assert caught.value.reason == "TEAM_INCOMPLETE"
    machines.cannot_come(stores, 1, 0, "it was lost in the attempt before")
    with pytest.raises(RunFailed, match="did not come"):
        machines.gather(stores, own, 1, lambda: False)
    machines.cannot_come(stores, 1, 1, "no such file")
    with pytest.raises(RunFailed, match="machine 1 cannot take part: no such file"):
        machines.gather(stores, own, 1, lambda: False)
    machines.come(stores, Ranks(3, 4, 0, 2), 1)
    assert machines.gather(stores, own, 1, lambda: False)


def test_an_address_that_is_taken_is_no_meeting_place(master: str, stores: Any, told: Told) -> None:
    with pytest.raises(InvalidInput, match="no meeting place could be opened") as caught:
        machines.open_store(master, told)
    assert caught.value.reason == "ADDRESS_NOT_USABLE"


def test_who_falls_silent_is_lost_and_who_leaves_is_not(
    master: str, stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(beats.SILENCE_VARIABLE, "1")
    leader = Beats(stores.clone(), Ranks(0, 3, 0, 1))
    silent, leaving = (Beats(machines.reach_store(master), Ranks(rank, 3, 0, 1)) for rank in (1, 2))
    time.sleep(0.5)
    assert leader.lost() is None
    leaving.leave()
    silent._over.set()  # as one whose cable is cut: it says nothing any more
    deadline = time.monotonic() + 20
    while leader.lost() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert leader.lost() == "the machine of rank 1 has said nothing for 1 s"
    leader.leave()


def test_who_is_cut_off_before_its_first_sign_is_missed_too(stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(beats.SILENCE_VARIABLE, "0.5")
    leader = Beats(stores.clone(), Ranks(0, 2, 0, 1))
    time.sleep(0.7)
    assert leader.lost() is None, "it may still come"
    leader.expect()
    time.sleep(0.7)
    assert leader.lost() == "the machine of rank 1 has said nothing for 0.5 s"
    leader.leave()


def test_who_has_done_its_part_waits_for_the_leader_to_leave(master: str, stores: Any) -> None:
    leader, other = Beats(stores.clone(), Ranks(0, 2, 0, 1)), Beats(machines.reach_store(master), Ranks(1, 2, 0, 1))
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(other.until_leader_leaves()))
    waiting.start()
    waiting.join(1.5)
    assert waiting.is_alive()
    leader.leave()
    waiting.join(20)
    assert found == [True]
    other.leave()


def test_the_interface_is_that_of_the_way_there() -> None:
    assert interface_towards("127.0.0.1") == "lo"
