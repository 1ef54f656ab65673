"""What the receiver remembers of each station: which numbers it has heard, how often it speaks, where it was last.

The window of numbers is as in IPsec and DTLS: the highest heard, and a bit for it and each of the 63 below. A
station is forgotten when its last stamp is stale: from then on a replay of it falls to its stamp. So forgetting
opens no door, and the table cannot be filled for longer than that.
"""

from __future__ import annotations

import math

WINDOW = 64
MOST_GAP = 1000
"""A jump of numbers beyond this is not told as loss: the station began anew, or lies."""
MOST_STATIONS = 4096
PURGE_US = 100_000
"""Between two purges of a full table: each looks at all of it."""
MOST_PER_S = 40.0
"""Of one station: BSM and CAM at 10 Hz each, and DENMs of two events, are less."""
BURST = 40.0
SLACK_M, SLACK_MPS = 12.0, 3.0
"""What two positions, and two speeds, of one station may differ by beyond what driving explains: its GPS."""
MOST_ACCEL_MPS2 = 15.0


class Entry:
    __slots__ = ("first", "highest", "mask", "newest_us", "place", "tokens", "tokens_us")

    def __init__(self, sequence: int, generated_us: int, now_us: int) -> None:
        self.first = self.highest = sequence
        self.mask = 1
        self.newest_us = generated_us
        self.tokens, self.tokens_us = BURST, now_us
        self.place: tuple[int, float, float, float] | None = None
        """Stamp, x, y and speed that were last believed."""

    def refuses(self, sequence: int) -> str:
        """Why this number may not be heard, or nothing. Changes nothing."""
        behind = self.highest - sequence
        if behind < 0:
            return ""
        if behind >= WINDOW:
            return "replayed"
        return "duplicate" if self.mask >> behind & 1 else ""

    def note(self, sequence: int, generated_us: int) -> int:
        """Takes the number in; how many more (or, when one comes late, fewer) messages are now missing."""
        ahead = sequence - self.highest
        self.newest_us = max(self.newest_us, generated_us)
        if ahead <= 0:
            self.mask |= 1 << -ahead
            return -1 if sequence > self.first else 0
        self.highest = sequence
        self.mask = (self.mask << ahead | 1) & (1 << WINDOW) - 1 if ahead < WINDOW else 1
        return ahead - 1 if ahead <= MOST_GAP else 0

    def speaks_too_often(self, now_us: int) -> bool:
        gained = max(0, now_us - self.tokens_us) * 1e-6 * MOST_PER_S
        self.tokens = min(BURST, self.tokens + gained)
        self.tokens_us = now_us
        if self.tokens < 1.0:
            return True
        self.tokens -= 1.0
        return False

    def goes_to(self, generated_us: int, x_m: float, y_m: float, speed_mps: float) -> bool:
        """Notes the place; False (and notes nothing) if no vehicle can have come here from where it was last."""
        if self.place is not None:
            at_us, x, y, speed = self.place
            dt_s = abs(generated_us - at_us) * 1e-6
            gained = MOST_ACCEL_MPS2 * dt_s
            reach = (max(abs(speed), abs(speed_mps)) + gained / 2) * dt_s + SLACK_M
            if math.hypot(x_m - x, y_m - y) > reach or abs(speed_mps - speed) > gained + SLACK_MPS:
                return False
            if generated_us < at_us:
                return True
        self.place = (generated_us, x_m, y_m, speed_mps)
        return True


class Ledger:
    def __init__(self, stale_us: int) -> None:
        self._stale_us = stale_us
        self._entries: dict[int, Entry] = {}
        self._purge_us = 0

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, station: int, now_us: int) -> Entry | None:
        entry = self._entries.get(station)
        if entry is not None and entry.newest_us < now_us - self._stale_us:
            del self._entries[station]
            return None
        return entry

    def begun(self, station: int, entry: Entry, now_us: int) -> bool:
        """False when there is no room for one more station."""
        if len(self._entries) >= MOST_STATIONS and now_us >= self._purge_us:
            self._purge_us = now_us + PURGE_US
            oldest_us = now_us - self._stale_us
            self._entries = {name: each for name, each in self._entries.items() if each.newest_us >= oldest_us}
        if len(self._entries) >= MOST_STATIONS:
            return False
        self._entries[station] = entry
        return True
