"""The directory that transformers and every phase read: safetensors, config and tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.phase8_compression.formats.face import Format, Made, Options

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item

PLAIN, PACKED = "model.safetensors", "packed.safetensors"


def make(model: Any, codec: Codec, directory: Path, options: Options) -> Made:
    from agentforge.models.ternary import record
    from agentforge.models.ternary.linear import ternary_layers
    from agentforge.models.ternary.packed import Bits, save_packed
    from agentforge.models.ternary.packed_linear import PackedLinear

    packed = any(isinstance(each, PackedLinear) for each in model.modules())
    if packed:  # there are no latents, and plain weights would be met by activations that nothing rounds
        save_packed(directory, model, Bits(embeddings=32))
    elif ternary_layers(model):
        record.save(directory, model)
    else:
        model.save_pretrained(directory)
    codec.tokenizer.save_pretrained(directory)
    files = tuple(sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()))
    return Made(directory, files, {PACKED if packed else PLAIN: True}, {})


def answers(made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str = "") -> list[str]:
    from agentforge.models.ternary.linear import frozen
    from agentforge.train.evaluate import answers as torch_answers
    from agentforge.train.loading import load_model

    model = load_model(made.directory).model
    with frozen(model):
        return torch_answers(model, codec, items, batch=batch)


FORMAT = Format("huggingface", (PLAIN,), True, {}, make, answers)
