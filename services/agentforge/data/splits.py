"""Which split a text belongs to: decided by its hash alone, so held-out stays held-out for every generator."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum

from agentforge.kit.errors import FailedPrecondition


class Split(StrEnum):
    TRAIN = "train"
    CALIBRATION = "calibration"  # activation statistics, scales, thresholds
    SELECTION = "selection"  # early stopping, fitness, search
    TEST = "test"  # reported numbers, nothing else


# Percent, as upper bounds of a hash modulo 100. Changing them moves held-out items into training: never do.
_UPPER_BOUNDS = ((80, Split.TRAIN), (85, Split.CALIBRATION), (90, Split.SELECTION), (100, Split.TEST))

SHARES = {Split.TRAIN: 0.80, Split.CALIBRATION: 0.05, Split.SELECTION: 0.05, Split.TEST: 0.10}


def split_of(key: str | bytes) -> Split:
    """The split of a canonical text. Forms of one problem that share their canonical text share their split."""
    raw = key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")
    place = int.from_bytes(hashlib.sha256(raw).digest()[:8], "big") % 100
    return next(split for bound, split in _UPPER_BOUNDS if place < bound)


def assert_disjoint(groups: Mapping[str, Iterable[str]]) -> None:
    """No key stands in two groups; the error names the first that does, and both groups."""
    owner: dict[str, str] = {}
    for name, keys in groups.items():
        for key in keys:
            other = owner.setdefault(key, name)
            if other != name:
                message = f"{other!r} and {name!r} share the item {key[:80]!r}"
                step = "Draw every set through agentforge.data with its own split."
                raise FailedPrecondition(message, reason="SPLITS_MEET", field=name, next_step=step)


def assert_split(keys: Iterable[str], split: Split) -> None:
    """Every key belongs to this split; for code that is handed items and must not see others."""
    for key in keys:
        if split_of(key) is not split:
            message = f"the item {key[:80]!r} belongs to the {split_of(key)} split, not to {split}"
            raise FailedPrecondition(message, reason="WRONG_SPLIT", field=str(split))
