"""Exact and near duplicates: MinHash signatures of word shingles, found by bands (LSH), confirmed by estimate."""

from __future__ import annotations

import hashlib
import re
import zlib

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentforge.data.sources.documents import Document
from agentforge.kit.config import StrictModel
from agentforge.kit.rng import Rng

_WORD = re.compile(r"\w+")
_SHOWN = 20  # examples kept for the report

Signature = NDArray[np.uint32]


class DuplicateConfig(StrictModel):
    threshold: float = Field(
        0.8, gt=0, le=1, description="Estimated Jaccard similarity from which a text is a near duplicate."
    )
    shingle: int = Field(5, ge=1, description="Words per shingle.")
    bands: int = Field(16, ge=1, description="Bands of the signature; more find less similar texts.")
    rows: int = Field(
        8, ge=1, description="Hashes per band. Half of the pairs with similarity (1/bands)^(1/rows) are found."
    )


class Duplicates:
    """Remembers what it saw: about 4·bands·rows + 100·bands bytes per kept document (2 KiB at the default)."""

    def __init__(self, config: DuplicateConfig) -> None:
        self.config = config
        self.examples: list[dict[str, object]] = []
        self._exact: set[bytes] = set()
        self._kept: list[tuple[str, Signature]] = []
        self._bands: dict[bytes, int] = {}
        generator = Rng(0, "data/minhash").numpy()  # fixed: signatures are comparable between runs
        count = config.bands * config.rows
        self._factors = generator.integers(0, 2**64, count, dtype=np.uint64) | np.uint64(1)
        self._offsets = generator.integers(0, 2**64, count, dtype=np.uint64)

    def add(self, document: Document) -> str:
        """ "exact_duplicate", "near_duplicate", or "" for a new text, which is then remembered."""
        words = _WORD.findall(document.text.lower())
        digest = hashlib.sha256(" ".join(document.text.split()).encode()).digest()
        if digest in self._exact:
            return "exact_duplicate"
        self._exact.add(digest)
        signature = self.signature(words)
        keys = [bytes([band]) + part.tobytes() for band, part in enumerate(np.split(signature, self.config.bands))]
        for other in sorted({self._bands[key] for key in keys if key in self._bands}):
            origin, known = self._kept[other]
            similarity = float(np.mean(known == signature))
            if similarity >= self.config.threshold:
                self._note(document.origin, origin, similarity)
                return "near_duplicate"
        for key in keys:
            self._bands.setdefault(key, len(self._kept))
        self._kept.append((document.origin, signature))
        return ""

    def signature(self, words: list[str]) -> Signature:
        """The least of each hash over all shingles (multiply-shift over 64 bits, upper half kept)."""
        size = self.config.shingle
        shingles = {" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}
        hashes = np.array([zlib.crc32(shingle.encode()) for shingle in shingles], np.uint64)
        least = np.full(len(self._factors), np.iinfo(np.uint64).max, np.uint64)
        for part in np.array_split(hashes, len(hashes) // 4_096 + 1):  # bounds memory on long texts
            mixed = part[:, None] * self._factors + self._offsets  # wraps, as multiply-shift wants
            least = np.minimum(least, mixed.min(axis=0))
        return (least >> np.uint64(32)).astype(np.uint32)

    def _note(self, duplicate: str, of: str, similarity: float) -> None:
        if len(self.examples) < _SHOWN:
            self.examples.append({"dropped": duplicate, "kept": of, "similarity": round(similarity, 3)})
