"""Text that a user brings, looked at before a run begins. Free of torch: a service asks `check_text`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentforge.data.cleaned import too_small
from agentforge.data.quality import Cleaner, QualityConfig
from agentforge.data.sources.files import FileSource
from agentforge.data.sources.quarantine import Quarantine
from agentforge.data.splits import Split
from agentforge.kit.errors import ForgeError, Violation
from agentforge.kit.inputs import InputPath

_LOOKED_AT = 8 << 20  # characters read before a run is accepted; what lies beyond is read before or in the training


@dataclass(frozen=True)
class Reading:
    """How the files are read, and what of them there must be."""

    text_field: str = "text"
    broken_lines: int = 0
    allow_pickle: bool = False
    quality: QualityConfig = field(default_factory=QualityConfig)
    splits: tuple[Split, ...] = (Split.TEST,)  # each needs a document

    def source(self, paths: Sequence[Path], root: Path, broken: Quarantine | None = None) -> FileSource:
        broken = broken or Quarantine(self.broken_lines)
        return FileSource(paths, root, field=self.text_field, broken=broken, allow_pickle=self.allow_pickle)


def check_text(inputs: Sequence[InputPath], reading: Reading) -> list[Violation]:
    """What is wrong with the text that was given, as far as a short look tells."""
    violations = [violation for given in inputs for violation in _unreadable(given, reading)]
    if violations or not inputs:
        return violations
    try:
        _look(inputs, reading)
    except ForgeError as error:
        return error.at(inputs[0].field)
    return []


def _unreadable(given: InputPath, reading: Reading) -> list[Violation]:
    """The beginning of each file."""
    found: list[Violation] = []
    try:
        files = reading.source([given.path], given.path.parent).files
    except ForgeError as error:
        return error.at(given.field)
    for file in files:
        try:
            next(reading.source([file], file.parent).read(), None)
        except ForgeError as error:
            found += error.at(given.field)
    return found


def _look(inputs: Sequence[InputPath], reading: Reading) -> None:
    """Read the first documents; raise where the files end without those that must be."""
    source = reading.source([each.path for each in inputs], Path(inputs[0].path.anchor))
    cleaner = Cleaner(reading.quality)
    characters, missing = 0, set(reading.splits)
    for document, _ in source.read():
        if cleaner.keeps(document):
            missing.discard(document.split)
        characters += len(document.text)
        if characters > _LOOKED_AT:
            return
    if missing:
        raise too_small(cleaner.counts, min(missing, key=list(Split).index))
