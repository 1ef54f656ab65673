"""What every format has: how it is made and answers in its own runtime, and what it cannot be. Free of torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agentforge.codecs.spec import Spec
from agentforge.kit.errors import Violation

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item

Described = Mapping[str, Any]  # config.json


@dataclass(frozen=True)
class Options:
    """What the formats can be asked for. `ternary`: the final model has ternary layers, which config.json hides."""

    context: int = 256  # tokens of a text, prompt and answer, where a file must fix them
    threads: int = 0  # 0: as many as there are cores
    ternary: bool = False
    cpu: tuple[Literal["fp32", "int8", "4bit"], ...] = ("fp32", "int8", "4bit")
    block: int = 32  # inputs that share a scale in the 4-bit ONNX file
    gguf: tuple[str, ...] = ("Q8_0",)
    package: Path | None = None  # phase 7's: the archive, or the directory that it lies in
    engine: bool = False
    forge: Path | None = None  # the directory of model.forge that the model was read from, to be taken as it is
    plan: Mapping[str, Spec] = field(default_factory=dict)  # else: what to make it by, codec by the tensor's name
    grams: Mapping[str, Any] | None = None
    seed: int = 0
    golden: tuple[tuple[str, str], ...] = ()  # prompts and the model's answers, for files that verify themselves


@dataclass(frozen=True)
class Made:
    """`files` lie in `directory`. `runs`: those that answer, the main one first, and whether each loses nothing."""

    directory: Path
    files: tuple[str, ...]
    runs: Mapping[str, bool]
    told: dict[str, Any]

    def path(self, name: str) -> Path:
        return self.directory / name


class Maker(Protocol):
    def __call__(self, model: Any, codec: Codec, directory: Path, options: Options) -> Made:
        """Writes `directory`, which is the format's own and empty; the model stays as it is."""


class Answering(Protocol):
    def __call__(self, made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str = "") -> list[str]:
        """Greedy, as train.evaluate.answers has them, by the format's own runtime. `file`: one of made.runs."""


@dataclass(frozen=True)
class Format:
    """`needs`: the extra of agentforge that brings each package. `lossless`: of its main file."""

    name: str
    files: tuple[str, ...]
    lossless: bool
    needs: Mapping[str, str]
    write: Maker
    answers: Answering
    cannot: Callable[[Described, Options], list[Violation]] = lambda described, options: []

    def make(self, model: Any, codec: Codec, directory: Path, options: Options) -> Made:
        own = directory / self.name
        own.mkdir(parents=True)
        return self.write(model, codec, own, options)

    def fits(self, described: Described, options: Options) -> list[Violation]:
        """All that is wrong with asking for it, told from config.json alone."""
        return [*missing(f"formats.{self.name}", self.needs), *self.cannot(described, options)]


def missing(where: str, needs: Mapping[str, str]) -> list[Violation]:
    """Packages that are not installed, none of which is imported."""
    absent = [package for package in needs if importlib.util.find_spec(package) is None]
    return [
        Violation(
            where, f"{where} needs the package {package!r}, which is not installed", "MISSING_TOOL",
            f"Install it: pip install 'agentforge[{needs[package]}]', or leave the format out.",
        )
        for package in absent
    ]  # fmt: skip


def agreement(said: Sequence[str], reference: Sequence[str]) -> float:
    """The share of answers that are PyTorch's to the letter."""
    return sum(one == other for one, other in zip(said, reference, strict=True)) / len(reference)


def agreements(
    form: Format, made: Made, codec: Codec, items: Sequence[Item], reference: Sequence[str], *, batch: int
) -> dict[str, float]:
    """Every file that answers, loaded back and run. `reference`: PyTorch's answers to the same items."""
    return {
        file: agreement(form.answers(made, codec, items, batch=batch, file=file), reference) for file in made.runs
    }
