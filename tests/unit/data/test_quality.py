from __future__ import annotations

import random

import pytest

from agentforge.data.duplicates import DuplicateConfig, Duplicates
from agentforge.data.quality import Cleaner, QualityConfig, fault
from agentforge.data.sources.documents import Document
from tests.unit.data.helpers import story

CONFIG = QualityConfig()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (story(1), ""),
        ("short", "too_short"),
        ("12 34 | 56 78 | 90 12\n" * 3, "few_letters"),
        ("the same line again and again\n" * 20, "repeated_lines"),
        ("x" * 5_000, "long_words"),
        (story(1) + "\x07\x1b\ufffd", "control_characters"),
    ],
)
def test_faults(text: str, why: str) -> None:
    assert fault(text, CONFIG) == why


def changed(text: str, share: float, seed: int) -> str:
    """A copy with this share of its words replaced."""
    rng, words = random.Random(seed), text.split()
    for place in rng.sample(range(len(words)), round(share * len(words))):
        words[place] = "changed"
    return " ".join(words)


def test_planted_duplicates_are_found_and_strangers_kept() -> None:
    originals = [story(number, words=300) for number in range(100)]
    cleaner = Cleaner(CONFIG)
    assert all(cleaner.keeps(Document(text, f"original{i}")) for i, text in enumerate(originals))
    copies = [cleaner.keeps(Document("  " + text.replace(" ", "  "), "copy")) for text in originals[:30]]
    near = [cleaner.keeps(Document(changed(text, 0.01, i), f"near{i}")) for i, text in enumerate(originals)]
    far = [cleaner.keeps(Document(changed(text, 0.30, i), f"far{i}")) for i, text in enumerate(originals)]
    assert not any(copies)
    assert sum(near) <= 2  # similarity about 0.9: nearly all are found
    assert all(far)  # similarity about 0.1
    report = cleaner.report()
    assert report["exact_duplicate"] == 30
    assert report["near_duplicate"] == 100 - sum(near)
    assert report["seen"] == 330
    examples = report["near_duplicate_examples"]
    assert isinstance(examples, list)
    assert examples[0]["dropped"].removeprefix("near") == examples[0]["kept"].removeprefix("original")


def test_estimate_is_the_jaccard_similarity() -> None:
    duplicates = Duplicates(DuplicateConfig(bands=32, rows=8))
    a, b = (story(5, words=400).split(), changed(story(5, words=400), 0.05, 0).split())
    shingles = [{" ".join(words[i : i + 5]) for i in range(len(words) - 4)} for words in (a, b)]
    true = len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])
    estimate = float((duplicates.signature(a) == duplicates.signature(b)).mean())
    assert estimate == pytest.approx(true, abs=0.08)


def test_deduplication_can_be_off() -> None:
    cleaner = Cleaner(QualityConfig(duplicates=None))
    assert all(cleaner.keeps(Document(story(1), "x")) for _ in range(2))
