"""A filter for text that teaches nothing: too short, unreadable, repetitive. It says why, and counts."""

from __future__ import annotations

import re
from collections import Counter

from pydantic import Field

from agentforge.data.duplicates import DuplicateConfig, Duplicates
from agentforge.data.sources.documents import Document
from agentforge.kit.config import StrictModel


class QualityConfig(StrictModel):
    min_characters: int = Field(32, ge=0, description="Shorter documents are dropped.")
    max_mean_word: float = Field(20, ge=1, description="Characters per word on average; more is minified or data.")
    min_letters: float = Field(0.4, ge=0, le=1, description="Share of letters among visible characters.")
    max_control: float = Field(0.001, ge=0, le=1, description="Share of control and replacement characters.")
    max_repeated_lines: float = Field(
        0.5, ge=0, le=1, description="Share of lines that stand elsewhere in the text."
    )
    duplicates: DuplicateConfig | None = Field(
        DuplicateConfig(), description="De-duplication; null switches it off."
    )


_CONTROL = re.compile("[\ufffd\x00-\x08\x0b\x0e-\x1f]")  # all but tab, line feed, form feed and return
UNFILTERED = QualityConfig(
    min_characters=1, max_mean_word=1e9, min_letters=0, max_control=1, max_repeated_lines=1, duplicates=None
)


def fault(text: str, config: QualityConfig) -> str:
    """Why a text is dropped; empty where it is kept."""
    if len(text.strip()) < config.min_characters:
        return "too_short"
    visible = sum(map(len, text.split()))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    control = len(_CONTROL.findall(text))
    checks = {
        "long_words": visible > config.max_mean_word * len(text.split()),
        "few_letters": sum(map(str.isalpha, text)) < config.min_letters * visible,
        "control_characters": control > config.max_control * len(text),
        "repeated_lines": len(lines) - len(set(lines)) > config.max_repeated_lines * len(lines),
    }
    return next((name for name, failed in checks.items() if failed), "")


class Cleaner:
    """Quality, then exact and near duplicates, over one pass through the documents; `report()` says what it did."""

    def __init__(self, config: QualityConfig) -> None:
        self.config = config
        self.counts: Counter[str] = Counter()
        self.duplicates = Duplicates(config.duplicates) if config.duplicates else None

    def keeps(self, document: Document) -> bool:
        verdict = fault(document.text, self.config)
        if not verdict and self.duplicates:
            verdict = self.duplicates.add(document)
        self.counts[verdict or "kept"] += 1
        self.counts["seen"] += 1
        return not verdict

    def report(self) -> dict[str, object]:
        """Counts per verdict, and examples of what was taken for near duplicates, for a person to judge."""
        examples = self.duplicates.examples if self.duplicates else []
        return {**dict(sorted(self.counts.items())), "near_duplicate_examples": examples}
