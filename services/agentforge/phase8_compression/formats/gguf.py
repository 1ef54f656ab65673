"""GGUF files of Llama-shaped models, read back for the types that tensors really have, and run by llama.cpp."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.errors import InvalidInput, RunFailed, Violation
from agentforge.phase8_compression.formats import gguf_types, llamacpp
from agentforge.phase8_compression.formats.face import Described, Format, Made, Options
from agentforge.phase8_compression.formats.gguf_types import KINDS, WHERE

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item


def make(model: Any, codec: Codec, directory: Path, options: Options) -> Made:
    from agentforge.models.gguf.tensors import ternary_layers

    options = replace(options, ternary=bool(ternary_layers(model)))
    found = cannot(model.config.to_dict(), options)
    if found:
        raise InvalidInput.of(found)
    types = {}
    for kind in options.gguf:
        file = directory / f"model.{kind}.gguf"
        if KINDS[kind].ours:
            _ours(file, kind, model, codec)
        else:
            _theirs(file, kind, model, codec)
        types[file.name] = tensor_types(file)
        _check(file.name, kind, types[file.name])
    runs = dict.fromkeys(types, False)  # all of them round something: weights, and keys and values to 16 bits
    return Made(directory, tuple(types), runs, {"types": types, "threads": options.threads})


def _ours(file: Path, kind: str, model: Any, codec: Codec) -> None:
    from agentforge.models.gguf.tensors import Types
    from agentforge.models.gguf.writer import write_gguf

    types = {"F16": Types("F16", embeddings="F16"), "Q8_0": Types("Q8_0", embeddings="Q8_0"), "TQ2_0": Types()}
    write_gguf(file, model, codec, types[kind])


def _theirs(file: Path, kind: str, model: Any, codec: Codec) -> None:
    """Of a file in float32, so that nothing is rounded twice."""
    from agentforge.models.gguf.tensors import Types
    from agentforge.models.gguf.writer import write_gguf

    with tempfile.TemporaryDirectory(dir=file.parent) as aside:
        whole = write_gguf(Path(aside) / "model.gguf", model, codec, Types("F32", embeddings="F32"))
        llamacpp.quantise(whole, file, kind)


def tensor_types(file: Path) -> dict[str, dict[str, Any]]:
    """Of each tensor in the file: its type, shape and bytes."""
    from agentforge.models.gguf.floats import opened

    return {
        each.name: {"type": each.tensor_type.name, "shape": each.shape.tolist(), "bytes": int(each.n_bytes)}
        for each in opened(file).tensors
    }


def _check(file: str, kind: str, types: dict[str, dict[str, Any]]) -> None:
    """Every matrix has a type that belongs to this kind of file."""
    others = {
        name: told["type"]
        for name, told in types.items()
        if len(told["shape"]) > 1 and told["type"] not in KINDS[kind].tensors
    }
    if others:
        named = ", ".join(f"{name} {found}" for name, found in sorted(others.items()))
        step = "Take another type, or a model whose rows are multiples of 256."
        raise RunFailed(
            f"{file} is not all {kind}: {named}", reason="OTHER_TYPE", field=min(others), next_step=step
        )


def answers(made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str = "") -> list[str]:
    """One by one, by llama.cpp, whose own tokenizer reads the prompts. It has no use for `batch`."""
    from agentforge.train.evaluate import ROOM

    rooms = [len(codec.ids(item.completion)) + ROOM for item in items]
    texts = [item.prefix + item.prompt for item in items]
    length = max(len(codec.prompt_ids(text)) + room for text, room in zip(texts, rooms, strict=True))
    with llamacpp.opened(made.path(file or next(iter(made.runs))), length, made.told["threads"]) as runtime:
        return [codec.text(runtime.greedy(text, room, codec.eos)) for text, room in zip(texts, rooms, strict=True)]


def cannot(described: Described, options: Options) -> list[Violation]:
    return [*gguf_types.cannot(described, options), *llamacpp.missing(WHERE)]


FORMAT = Format("gguf", ("model.Q8_0.gguf",), False, {"gguf": "gguf"}, make, answers, cannot)
