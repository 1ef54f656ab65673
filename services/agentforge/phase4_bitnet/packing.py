"""What the model weighs once it is packed: by really packing it, and counting the bytes of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from agentforge.data.items import Item
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.packed import FILE, Bits, save_packed
from agentforge.models.ternary.unpacking import Sizes, load_packed, sizes
from agentforge.phase4_bitnet.start import Start
from agentforge.train.evaluate import item_loss

Width = Literal["2", "1.6"]
WIDTHS: tuple[Width, ...] = get_args(Width)


def packed_numbers(start: Start, model: Any, test: list[Item], scratch: Path) -> list[Measurement]:
    """Sizes at 2 and 1.6 bits, and the loss of what is unpacked: it differs by embeddings and head alone."""
    found: list[Measurement] = []
    for width in WIDTHS:
        directory = scratch / f"packed-{width}"
        save_packed(directory, model, bits(start, width))
        found += _sizes(width, sizes(directory), start.config.packing.embeddings)
    name, unpacked = "bitnet/packed/loss", load_packed(scratch / f"packed-{WIDTHS[0]}").to(start.model.device)
    return [*found, item_loss(unpacked, start.codec, test, name=name, batch=start.config.evaluation.batch)]


def bits(start: Start, width: Width) -> Bits:
    return Bits(linears=width, embeddings=start.config.packing.embeddings)


def _sizes(width: Width, found: Sizes, embeddings: int) -> list[Measurement]:
    prefix, how = f"bitnet/packed/{width}_bits", f"{width} bits a ternary weight, bytes of {FILE}"
    linears = f"{how}: codes and scales of the ternary layers alone"
    whole = f"{how}: all of it, embeddings and head in {embeddings} bits"
    parts = [
        ("linear_layers/size", found.linears, "By", linears),
        ("linear_layers/ratio", found.linears_ratio, "1", f"the same weights in float32 over {linears}"),
        ("whole_file/size", found.file, "By", whole),
        ("whole_file/ratio", found.file_ratio, "1", f"all weights in float32 over {whole}"),
    ]
    return [Measurement(f"{prefix}/{name}", value, unit, method, 1) for name, value, unit, method in parts]
