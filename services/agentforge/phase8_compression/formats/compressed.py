"""model.forge, with config and tokenizer: a directory that chat, eval and every phase load."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.errors import InvalidInput
from agentforge.phase8_compression.formats.face import Format, Made, Options

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item

FILE = "model.forge"
_BESIDE = ("config.json", "generation_config.json")


def make(model: Any, codec: Codec, directory: Path, options: Options) -> Made:
    """`model` answers as what is decoded only where it came of the plan, or of the model.forge that is there."""
    put(model, codec, directory, options)
    files = tuple(sorted(path.name for path in directory.iterdir()))
    told = {"from": "the model's own model.forge" if options.forge else "the plan"}
    return Made(directory, files, {FILE: not options.plan}, told)


def put(model: Any, codec: Codec, directory: Path, options: Options) -> None:
    from agentforge.codecs.model import save_compressed

    directory.mkdir(parents=True, exist_ok=True)
    if options.forge is None:
        save_compressed(directory, model, options.plan, grams=options.grams, seed=options.seed)
    else:
        for name in (FILE, *_BESIDE):
            if not (options.forge / name).is_file():
                message = f"there is no {name} in {options.forge}"
                raise InvalidInput(message, reason="MODEL_NOT_FOUND", field="forge")
            shutil.copyfile(options.forge / name, directory / name)
    codec.tokenizer.save_pretrained(directory)


def answers(made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str = "") -> list[str]:
    from agentforge.codecs.model import load_compressed
    from agentforge.train.evaluate import answers as torch_answers

    return torch_answers(load_compressed(made.directory), codec, items, batch=batch)


FORMAT = Format("compressed", (FILE,), True, {}, make, answers)
