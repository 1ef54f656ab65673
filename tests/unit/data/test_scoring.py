from __future__ import annotations

import math

import pytest

from agentforge.data.generate import ItemStream
from agentforge.data.scoring import accuracy, bits_per_byte
from agentforge.data.splits import Split


def test_accuracy_per_family_and_difficulty() -> None:
    items = [item for name in ("arithmetic", "nested") for item in ItemStream(name, Split.TEST, 0).distinct(20)]
    outputs = [item.completion if place % 4 else " nonsense" for place, item in enumerate(items)]
    by_family = accuracy(items, outputs, prefix="eval")
    assert [(m.name, m.value, m.n) for m in by_family] == [
        ("eval/accuracy/arithmetic", 0.75, 20), ("eval/accuracy/nested", 0.75, 20),
    ]  # fmt: skip
    assert by_family[0].method == "exact answers to generated items of the test split"
    assert by_family[0].spread == pytest.approx(math.sqrt(0.75 * 0.25 * 20 / 19))
    fine = accuracy(items, outputs, prefix="eval", by_difficulty=True, step=3)
    assert {m.name for m in fine} >= {"eval/accuracy/nested/3", "eval/accuracy/arithmetic/2"}
    assert sum(m.n for m in fine) == 40
    assert {m.step for m in fine} == {3}


def test_bits_per_byte() -> None:
    made = bits_per_byte(
        nats=8 * math.log(2), byte_count=4, name="eval/bits_per_byte", method="teacher forcing", n=2
    )
    assert (made.value, made.unit, made.n) == (2.0, "bit/By", 2)
