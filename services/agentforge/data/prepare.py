"""Documents once through cleaning, splitting and tokenising, into token shards on disk: the fast way to train."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentforge.data.codec import Codec
from agentforge.data.quality import Cleaner
from agentforge.data.sources.documents import DocumentSource
from agentforge.data.splits import Split
from agentforge.data.tokens import OpenShards, TokenShards
from agentforge.kit.digests import digest_file
from agentforge.kit.errors import DataLoss, FailedPrecondition, InvalidInput, NotFound

MANIFEST = "tokens.json"
_SHARD_TOKENS = 1 << 23


def prepare_tokens(
    sources: Iterable[DocumentSource],
    codec: Codec,
    directory: Path,
    *,
    cleaner: Cleaner | None = None,
    shard_tokens: int = _SHARD_TOKENS,
) -> dict[str, Any]:
    """Write <directory>/<split>/*.npy and, last of all, the manifest, which is also returned."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MANIFEST).unlink(missing_ok=True)  # a directory is whole only with its manifest
    writers = {split: _Writer(directory, split, codec, shard_tokens) for split in Split}
    for source in sources:
        for document, _ in source.read():
            if cleaner is None or cleaner.keeps(document):
                writers[document.split].add(document.text)
    splits = {str(split): writer.finish() for split, writer in writers.items()}
    if not any(part["documents"] for part in splits.values()):
        message = "no document is left to train on"
        step = f"The cleaning reports: {cleaner.report()}." if cleaner else "The sources are empty."
        raise InvalidInput(message, reason="EMPTY_CORPUS", field=str(directory), next_step=step)
    manifest = {
        "tokenizer": codec.digest,
        "vocabulary": codec.vocabulary,
        "splits": splits,
        "cleaning": cleaner.report() if cleaner else {},
    }
    _write_whole(directory / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
    return manifest


def load_tokens(directory: Path, split: Split, codec: Codec, *, shards: OpenShards | None = None) -> TokenShards:
    """The shards of one split, after checking the tokenizer and every file's digest."""
    path = directory / MANIFEST
    if not path.is_file():
        step = "Make it with prepare_tokens; a directory without it was not finished."
        raise NotFound(
            f"{directory} has no {MANIFEST}", reason="NOT_PREPARED", field=str(directory), next_step=step
        )
    manifest = json.loads(path.read_text())
    if manifest["tokenizer"] != codec.digest:
        message = f"{directory} was made with the tokenizer {manifest['tokenizer'][:12]}, not {codec.digest[:12]}"
        step = "Prepare it again, or use the tokenizer it was made with."
        raise FailedPrecondition(message, reason="TOKENIZER_MISMATCH", field=str(directory), next_step=step)
    recorded = manifest["splits"][split]["shards"]
    for shard in recorded:
        _check_shard(directory / shard["file"], shard["sha256"])
    return TokenShards([directory / shard["file"] for shard in recorded], name=f"tokens/{split}", shards=shards)


def _check_shard(file: Path, expected: str) -> None:
    if not file.is_file() or digest_file(file) != expected:
        state = "has changed or is cut short" if file.is_file() else "is missing"
        step = "Prepare the tokens again."
        raise DataLoss(f"the shard {file} {state}", reason="SHARD_BROKEN", field=str(file), next_step=step)


class _Writer:
    """Collects the tokens of one split and writes them away whenever a shard is full."""

    def __init__(self, directory: Path, split: Split, codec: Codec, shard_tokens: int) -> None:
        self._directory, self._split, self._codec, self._shard_tokens = directory, split, codec, shard_tokens
        self._type = np.uint16 if codec.vocabulary <= 1 << 16 else np.uint32
        self._parts: list[NDArray[Any]] = []
        self._waiting = self._tokens = self._documents = self._bytes = 0
        self._shards: list[dict[str, Any]] = []
        (directory / split).mkdir(exist_ok=True)

    def add(self, text: str) -> None:
        ids = np.array([*self._codec.document_ids(text), self._codec.eos], self._type)
        self._parts.append(ids)
        self._waiting += len(ids)
        self._documents += 1
        self._bytes += len(text.encode())
        if self._waiting >= self._shard_tokens:
            self._flush()

    def finish(self) -> dict[str, Any]:
        if self._parts:
            self._flush()
        counts = {"tokens": self._tokens, "documents": self._documents, "bytes": self._bytes}
        return {**counts, "shards": self._shards}

    def _flush(self) -> None:
        name = f"{self._split}/shard-{len(self._shards):05d}.npy"
        part = self._directory / f"{name}.part"
        with part.open("wb") as file:
            np.save(file, np.concatenate(self._parts))
        part.rename(self._directory / name)
        self._shards.append({"file": name, "tokens": self._waiting, "sha256": digest_file(self._directory / name)})
        self._tokens += self._waiting
        self._parts, self._waiting = [], 0


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.rename(path)
