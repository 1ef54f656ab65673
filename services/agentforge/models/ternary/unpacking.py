"""A packed file as a model again, and what its parts weigh."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from agentforge.kit.errors import DataLoss
from agentforge.models import TitanForCausalLM  # noqa: F401  # registers it with the Auto classes
from agentforge.models.ternary.linear import Mode
from agentforge.models.ternary.packed import FILE, Opened, open_packed
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.models.ternary.tables import table
from agentforge.models.ternary.trits import unpack_2bit, unpack_base3


def load_packed(directory: Path) -> Any:
    """A Hugging Face model whose ternary layers stay packed. Nothing of their full size is ever made."""
    opened = open_packed(directory)
    model = without_weights(directory)
    for name, entry in opened.layout["linears"].items():
        model.set_submodule(name, _layer(name, entry, opened))
    put_in(directory / FILE, model, _plain(opened))
    return model.eval()


def without_weights(directory: Path) -> Any:
    """The model of config.json, in float32, that takes no memory yet."""
    loader: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = loader.from_config(
            AutoConfig.from_pretrained(directory, local_files_only=True), dtype=torch.float32
        )
    _make_buffers(model)
    return model


def put_in(file: Path, model: Any, tensors: dict[str, Tensor]) -> None:
    """All weights but those of packed layers, from this file: neither too few nor too many of them."""
    _check(file, model.load_state_dict(tensors, strict=False, assign=True), model)
    model.tie_weights()


def _make_buffers(model: Any) -> None:
    """Those that no file holds (rotary frequencies), as from_pretrained does: `_init_weights` fills them."""
    for module in model.modules():
        unsaved = module._non_persistent_buffers_set
        for name in unsaved:
            setattr(module, name, torch.empty_like(getattr(module, name), device="cpu"))
        if unsaved:
            with torch.no_grad():
                model._init_weights(module)


def _layer(name: str, entry: dict[str, Any], opened: Opened) -> PackedLinear:
    entry = dict(entry)
    (outputs, inputs), bits = entry.pop("shape"), entry.pop("bits")
    packed = opened.tensors[f"{name}.weight.codes"]
    code_OI = unpack_2bit(packed, outputs) if bits == "2" else unpack_base3(packed, (outputs, inputs))
    bias = opened.tensors.get(f"{name}.bias")
    bias = None if bias is None else bias.float()
    return PackedLinear(code_OI, opened.tensors[f"{name}.weight.scales"].float(), bias, Mode(**entry))


def _plain(opened: Opened) -> dict[str, Tensor]:
    """All but the ternary weights, in float32."""
    held = {*_pairs(_weights(opened)), *_pairs(opened.layout["tables"])}
    plain = {n: t.float() if t.is_floating_point() else t for n, t in opened.tensors.items() if n not in held}
    for name, entry in opened.layout["tables"].items():
        code, scale = opened.tensors[f"{name}.codes"], opened.tensors[f"{name}.scales"]
        plain[name] = table(code, scale, tuple(entry["shape"]), entry["bits"])
    return plain


def _check(file: Path, found: Any, model: nn.Module) -> None:
    tied = set(getattr(model, "all_tied_weights_keys", {}))
    ours = ("packed", "scale_AG")
    missing = [n for n in found.missing_keys if n not in tied and n.rpartition(".")[2] not in ours]
    wrong = sorted([*missing, *found.unexpected_keys])
    if wrong:
        message = f"{file} is not of the model in config.json: they differ in {wrong[0]}"
        raise DataLoss(message, reason="WEIGHTS_INCOMPLETE", field=wrong[0])


@dataclass(frozen=True)
class Sizes:
    """Bytes in the file by part, which sum to it; and the same parts' bytes as float32."""

    linears: int
    embeddings: int
    rest: int
    header: int
    file: int
    linears_fp32: int
    embeddings_fp32: int
    rest_fp32: int

    @property
    def linears_ratio(self) -> float:
        """Codes and scales; their names and digests are in the header."""
        return self.linears_fp32 / self.linears

    @property
    def file_ratio(self) -> float:
        return (self.linears_fp32 + self.embeddings_fp32 + self.rest_fp32) / self.file


def sizes(directory: Path) -> Sizes:
    opened = open_packed(directory)
    weights, tables = _weights(opened), opened.layout["tables"]
    of_linears, of_tables = (
        sum(opened.tensors[name].nbytes for name in _pairs(part)) for part in (weights, tables)
    )
    stored = sum(tensor.nbytes for tensor in opened.tensors.values())
    rest = opened.tensors.keys() - {*_pairs(weights), *_pairs(tables)}
    whole = (directory / FILE).stat().st_size
    return Sizes(
        linears=of_linears,
        embeddings=of_tables,
        rest=stored - of_linears - of_tables,
        header=whole - stored,
        file=whole,
        linears_fp32=_full(weights),
        embeddings_fp32=_full(tables),
        rest_fp32=4 * sum(opened.tensors[name].numel() for name in rest),
    )


def _full(part: dict[str, Any]) -> int:
    return sum(4 * rows * columns for rows, columns in (entry["shape"] for entry in part.values()))


def _weights(opened: Opened) -> dict[str, Any]:
    return {f"{name}.weight": entry for name, entry in opened.layout["linears"].items()}


def _pairs(names: Iterable[str]) -> list[str]:
    return [f"{name}.{part}" for name in names for part in ("codes", "scales")]
