"""What the parts of a compressed model weigh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from agentforge.codecs.model import read_forge
from agentforge.models.ternary.unpacking import without_weights

PARTS = ("ternary", "linears", "embeddings", "rest")


@dataclass(frozen=True)
class Sizes:
    """Bytes in the file by part, which sum to it with the header; and the same parts' bytes as float32.

    Saved buffers count in the file and not as float32: a ratio is of parameters.
    """

    ternary: int  # linear layers' codes and scales
    linears: int  # the weights of others
    embeddings: int  # and the head
    rest: int  # norms, gates, biases, buffers
    header: int
    file: int
    ternary_fp32: int
    linears_fp32: int
    embeddings_fp32: int
    rest_fp32: int

    @property
    def fp32(self) -> int:
        return self.ternary_fp32 + self.linears_fp32 + self.embeddings_fp32 + self.rest_fp32

    @property
    def file_ratio(self) -> float:
        """4 bytes for each parameter, to all bytes of the file."""
        return self.fp32 / self.file

    @property
    def linears_ratio(self) -> float:
        """Of linear layers, ternary or not; 0 where there is none."""
        held = self.ternary + self.linears
        return (self.ternary_fp32 + self.linears_fp32) / held if held else 0.0


def sizes(directory: Path) -> Sizes:
    forge = read_forge(directory)
    model = without_weights(directory)
    parameters = {name: parameter.numel() for name, parameter in model.named_parameters()}
    part = part_of(model)
    held, full = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0)
    for name, size in forge.by_tensor().items():
        own = "ternary" if "mode" in forge.payloads[name].settings else part.get(name, "rest")
        held[own] += size
        full[own] += 4 * parameters.get(name, 0)
    fp32 = {f"{own}_fp32": size for own, size in full.items()}
    return Sizes(**held, **fp32, header=forge.header, file=forge.file)


def part_of(model: Any) -> dict[str, str]:
    """The part of weights that are of linear layers or of embeddings; of a head that is tied, embeddings."""
    linear = {id(each.weight) for each in model.modules() if isinstance(each, nn.Linear | Conv1D)}
    both = (model.get_input_embeddings(), model.get_output_embeddings())
    tables = {id(each.weight) for each in both if each is not None}
    found = {}
    for name, parameter in model.named_parameters():
        if id(parameter) in tables | linear:
            found[name] = "embeddings" if id(parameter) in tables else "linears"
    return found
