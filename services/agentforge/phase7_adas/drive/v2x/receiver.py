"""The receiver: from whatever octets came in to neighbours and events that may be true, and counts of all the rest.

What a liar can still do without signatures: any station's name, with fresh stamps and numbers, and a car that
drives as cars drive. So what comes out is evidence, never truth; fusion treats it so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agentforge.phase7_adas.drive.agent import Neighbour
from agentforge.phase7_adas.drive.truth import Kind
from agentforge.phase7_adas.drive.v2x import cam, denm
from agentforge.phase7_adas.drive.v2x.denm import Event
from agentforge.phase7_adas.drive.v2x.heard import HEADING, KIND, LENGTH, SIGMA, SPEED, WIDTH
from agentforge.phase7_adas.drive.v2x.ledger import Entry, Ledger
from agentforge.phase7_adas.drive.v2x.local import FIELD, Origin
from agentforge.phase7_adas.drive.v2x.plausible import refusals
from agentforge.phase7_adas.drive.v2x.signing import Unsigned, Verifier
from agentforge.phase7_adas.drive.v2x.understood import Item, understood

STALE_US, FUTURE_US = 500_000, 50_000
"""Assumptions: older is of no use at 10 Hz, and clocks that GPS sets differ by far less."""
MOST_VERIFIED, MOST_TREES = 128, 16
"""In one call. A check takes some 0.1 to 0.3 ms, and so does pycrate for a CAM or DENM: this bounds what a flood
costs. As many as that are beyond the agent's ceiling, which is meant for BSMs without signatures."""
KINDS = tuple(Kind)
SIGMA_LEAST_M = 0.05
"""A station that claims to know its place better is not believed that."""

REASONS = {
    "length": "shorter or longer than what it says it is",
    "garbage": "no message of ours: magic, version, kind or stamp mean nothing",
    "undecodable": "its octets are no UPER of its kind, or values out of range",
    "inconsistent": "message and envelope name different stations or times",
    "bodiless": "of a station that is no vehicle, such as a roadside unit",
    "own": "from ourselves, as multicast brings it back",
    "stale": "stamped too long ago",
    "future": "stamped later than now",
    "duplicate": "this number of this station was heard",
    "replayed": "far below the number that this station has reached",
    "unsigned": "no signature, though signatures are asked for",
    "overload": "more CAMs and DENMs, or signatures, in one call than may be decoded or checked",
    "forged": "a signature that is not of the station's key",
    "crowded": "no room to remember one more station",
    "too many": "this station speaks more often than a station may",
    "incomplete": "position, heading, speed or size are told as unknown",
    "implausible": "a place, speed or size that no vehicle has, or that this one cannot have reached",
}


class Receiver:
    """Never raises, whatever octets come in. `received` is always `accepted` plus the sum of `dropped`."""

    def __init__(
        self,
        own: int = 0,
        origin: Origin = FIELD,
        verifier: Verifier | None = None,
        most_verified: int = MOST_VERIFIED,
        most_trees: int = MOST_TREES,
    ) -> None:
        """At most so many signatures are checked in one call, and so many CAMs and DENMs decoded."""
        cam.ready()
        denm.ready()
        self.own, self.origin = own, origin
        self._verifier: Verifier = verifier or Unsigned()
        self._most_verified, self._verified = most_verified, 0
        self._most_trees = most_trees
        self._ledger = Ledger(STALE_US)
        self.received = self.accepted = self.lost = 0
        self.dropped: Counter[str] = Counter()
        self.events: list[Event] = []
        """Of the last call."""

    def take(
        self, datagrams: Sequence[bytes], t_us: int, near_xy: tuple[float, float] | None = None
    ) -> tuple[Neighbour, ...]:
        """The newest word of each station, sorted by station. `near_xy` is where we are, if that is known."""
        self.received += len(datagrams)
        self._verified, self.events = 0, []
        if not datagrams:
            return ()

        def screen(station: int, sequence: int, generated_us: int) -> str:
            return self._screened(self._ledger.of(station, t_us), station, sequence, generated_us, t_us)

        got = understood(datagrams, self.dropped, screen, self._most_trees)
        if not got.items:
            return ()
        xy_N2 = self.origin.to_world(got.heard_N8[:, 0], got.heard_N8[:, 1])
        found: dict[int, Neighbour] = {}
        wrongs = refusals(got.heard_N8, xy_N2, near_xy)
        rows = zip(got.items, got.heard_N8.tolist(), xy_N2.tolist(), wrongs, strict=True)
        for item, heard, (x, y), wrong in rows:
            reason = self._refusal(item, heard, x, y, wrong, t_us)
            if reason:
                self.dropped[reason] += 1
                continue
            self.accepted += 1
            if item.tree is not None:
                self.events.append(denm.event_of(item.tree, item.station, x, y))
            elif item.station not in found or found[item.station].t_us < item.generated_us:
                found[item.station] = _neighbour(item, heard, x, y)
        return tuple(found[station] for station in sorted(found))

    def _refusal(self, item: Item, heard: list[float], x_m: float, y_m: float, wrong: str, t_us: int) -> str:
        """Why it is dropped, or nothing. `wrong` is what is wrong with its content alone."""
        entry = self._ledger.of(item.station, t_us)
        reason = self._screened(entry, item.station, item.sequence, item.generated_us, t_us)
        if not reason and self._verifier.asked:  # before anything is noted: a forger must not move a window
            reason = self._unproven(item)
        if reason:
            return reason
        if entry is None:
            entry = Entry(item.sequence, item.generated_us, t_us)
            if not self._ledger.begun(item.station, entry, t_us):
                return "crowded"
        else:
            self.lost += entry.note(item.sequence, item.generated_us)
        if entry.speaks_too_often(t_us):
            return "too many"
        if wrong or item.tree is not None:
            return wrong
        return "" if entry.goes_to(item.generated_us, x_m, y_m, heard[SPEED]) else "implausible"

    def _screened(self, entry: Entry | None, station: int, sequence: int, generated_us: int, t_us: int) -> str:
        """Why it is dropped by its envelope alone, or nothing. Changes nothing."""
        if station == self.own:
            return "own"
        if generated_us > t_us + FUTURE_US:
            return "future"
        if generated_us < t_us - STALE_US:
            return "stale"
        return entry.refuses(sequence) if entry else ""

    def _unproven(self, item: Item) -> str:
        signature = item.datagram[item.signed_to :]
        if not signature:
            return "unsigned"
        if self._verified >= self._most_verified:
            return "overload"
        self._verified += 1
        proven = self._verifier.verify(item.station, item.datagram[: item.signed_to], signature)
        return "" if proven else "forged"


def _neighbour(item: Item, heard: list[float], x_m: float, y_m: float) -> Neighbour:
    return Neighbour(
        item.station, item.generated_us, x_m, y_m, heard[HEADING], heard[SPEED], max(heard[SIGMA], SIGMA_LEAST_M),
        heard[LENGTH], heard[WIDTH], KINDS[int(heard[KIND])],
    )  # fmt: skip
