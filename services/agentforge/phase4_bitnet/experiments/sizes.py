"""Packed files of models of 25 M: their bytes beside float32, what is unpacked, and that no damage passes unseen.

The weights are random: a code takes its bits whatever it is, so sizes are those of any weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, exactly, stated
from agentforge.kit.rng import Rng

LLAMA = {
    "hidden_size": 256, "intermediate_size": 2048, "num_hidden_layers": 9, "num_attention_heads": 4,
    "vocab_size": 32_000,
}  # fmt: skip
SMALL = dict.fromkeys(("hidden_size", "intermediate_size", "vocab_size"), 8)  # so that every kind of bit is met
SMALL |= dict.fromkeys(("num_hidden_layers", "num_attention_heads"), 1)
GROUPS = {"Titan": 8, "Llama": 128}  # 8 is the widest that divides all of Titan's widths
SCALES = ("tensor", "channel", "group")
SHARED = {"tensor": "a scale for each matrix", "channel": "a scale for each output channel"}
FILES = [(linears, embeddings, rest) for linears in ("2", "1.6") for embeddings in (8, 4) for rest in (32, 16)]
BARS = {"2": 15.5, "1.6": 19.0}  # of the linear layers
WHOLE = 8.0
FLIPS = 2000


def trials() -> list[Trial]:
    sizes = [Trial(f"{name}/{scale}", {"what": name, "scale": scale}) for name in GROUPS for scale in SCALES]
    return [*sizes, Trial("damage", {"what": "damage", "scale": "tensor"})]


def measure(what: str, scale: str) -> dict[str, Any]:
    import torch

    torch.manual_seed(Rng(42, "sizes", what, scale).seed)
    with TemporaryDirectory(prefix="af-sizes-") as scratch:
        return _damaged(Path(scratch)) if what == "damage" else _packed(what, scale, Path(scratch))


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    models = {name: {scale: results[f"{name}/{scale}"] for scale in SCALES} for name in GROUPS}
    linears = [row for name, by_scale in models.items() for row in _linears(name, by_scale)]
    how = "32 / log2(3): codes of three equally likely values, without their scales"
    limit = stated("Limit of the linear layers, times smaller", [32 / math.log2(3)], "1", method=how)
    whole = [row for name, by_scale in models.items() for row in _whole(name, by_scale)]
    return [*linears, limit, *whole, *_unpacked(results), *_refused(results["damage"])]


def _packed(name: str, scale: str, scratch: Path) -> dict[str, Any]:
    """The model in every kind of file, each read again."""
    from agentforge.models.ternary.convert import convert
    from agentforge.models.ternary.linear import Mode, ternary_layers
    from agentforge.models.ternary.packed import Bits, save_packed
    from agentforge.models.ternary.unpacking import sizes

    model = _titan() if name == "Titan" else _llama(LLAMA)
    group = GROUPS[name] if scale == "group" else 0
    convert(model, mode=Mode(scale, group))  # type: ignore[arg-type]
    layers = ternary_layers(model)
    files = []
    for linears, embeddings, rest in FILES:
        save_packed(scratch, model, Bits(linears, embeddings, rest))  # type: ignore[arg-type]
        found = {"linears": linears, "embeddings": embeddings, "rest": rest}
        files.append(found | {"bytes": asdict(sizes(scratch))} | _same(layers, scratch))
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "ternary": sum(layer.weight.numel() for layer in layers.values()),
        "layers": len(layers),
        "group": group,
        "files": files,
    }


def _same(layers: Mapping[str, Any], directory: Path) -> dict[str, int]:
    """How many codes and scales come back, and how many of them to the bit."""
    from agentforge.models.ternary.unpacking import load_packed

    loaded = load_packed(directory)
    found = {"codes": 0, "codes_same": 0, "scales": 0, "scales_same": 0}
    for name, layer in layers.items():
        held = loaded.get_submodule(name)
        pairs = {"codes": (layer.codes(), held.codes()), "scales": (layer.scales(), held.scales())}
        for what, (wanted, given) in pairs.items():
            found[what] += wanted.numel()
            found[f"{what}_same"] += int((wanted == given).sum())
    return found


def _damaged(scratch: Path) -> dict[str, int]:
    """A small file: single bits flipped, and cut to every shorter length."""
    from agentforge.models.ternary.convert import convert
    from agentforge.models.ternary.packed import FILE, open_packed, save_packed

    model = _llama(SMALL)
    convert(model, ["model.layers.0.mlp.up_proj"])
    whole = save_packed(scratch, model).read_bytes()
    open_packed(scratch)
    flipped = 0
    for bit in Rng(42, "sizes", "flips").python().sample(range(8 * len(whole)), FLIPS):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        flipped += _is_refused(scratch / FILE, bytes(damaged))
    cut = sum(_is_refused(scratch / FILE, whole[:length]) for length in range(len(whole)))
    return {"bytes": len(whole), "flips": FLIPS, "flips_refused": flipped, "cuts": len(whole), "cuts_refused": cut}


def _is_refused(file: Path, damaged: bytes) -> bool:
    from agentforge.kit.errors import DataLoss
    from agentforge.models.ternary.packed import open_packed

    file.write_bytes(damaged)
    try:
        open_packed(file.parent)
    except DataLoss:
        return True
    return False


def _titan() -> Any:
    from agentforge.models import TitanConfig, TitanForCausalLM

    return TitanForCausalLM(TitanConfig())


def _llama(shape: dict[str, Any]) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=True))


def _file(result: Mapping[str, Any], linears: str, embeddings: int, rest: int) -> Mapping[str, int]:
    wanted = (linears, embeddings, rest)
    files = result["files"]
    return next(each["bytes"] for each in files if (each["linears"], each["embeddings"], each["rest"]) == wanted)


def _linear_ratio(result: Mapping[str, Any], linears: str) -> float:
    found = _file(result, linears, 8, 32)
    return found["linears_fp32"] / found["linears"]


def _file_ratio(result: Mapping[str, Any], linears: str, embeddings: int, rest: int) -> float:
    return 4 * float(result["parameters"]) / _file(result, linears, embeddings, rest)["file"]


def _linears(name: str, by_scale: Mapping[str, Any]) -> list[Row]:
    found = []
    weights, layers = by_scale["tensor"]["ternary"], by_scale["tensor"]["layers"]
    method = f"bytes of codes and scales of {weights:,} weights in {layers} layers, beside float32"
    for linears, bar in BARS.items():
        for scale, shared in SHARED.items():
            claim = f"{name}, linear layers alone: times smaller at {linears} bits, {shared}"
            found.append(at_least(claim, bar, [_linear_ratio(by_scale[scale], linears)], "1", method=method))
        claim = f"{name}, linear layers alone: {linears} bits, a scale for {GROUPS[name]} inputs"
        found.append(stated(claim, [_linear_ratio(by_scale["group"], linears)], "1"))
    return found


def _whole(name: str, by_scale: Mapping[str, Any]) -> list[Row]:
    """The default of the phase and the smallest are claims; what lies between, and other scales, stands beside."""
    found = []
    method = f"bytes of packed.safetensors with its header, beside {by_scale['tensor']['parameters']:,} in float32"
    for embeddings in (8, 4):
        for linears, rest in (("2", 32), ("1.6", 16), ("2", 16), ("1.6", 32)):
            ratio = {scale: _file_ratio(result, linears, embeddings, rest) for scale, result in by_scale.items()}
            claim = f"{name}, whole file: embeddings {embeddings} bits, linear layers {linears}, all else {rest}"
            if (linears, rest) in (("2", 32), ("1.6", 16)):
                found.append(at_least(f"{claim}; times smaller", WHOLE, [ratio["tensor"]], "1", method=method))
                found.append(stated(f"{claim}; {SHARED['channel']}", [ratio["channel"]], "1"))
            else:
                found.append(stated(claim, [ratio["tensor"]], "1"))
    return found


def _unpacked(results: Mapping[str, Any]) -> list[Row]:
    files = [file for key, result in results.items() if key != "damage" for file in result["files"]]
    found = []
    for what in ("codes", "scales"):
        claim, total = f"{what.capitalize()} that are unpacked to the bit, share", sum(file[what] for file in files)
        shares = [file[f"{what}_same"] / file[what] for file in files]
        found.append(exactly(claim, 1, shares, "1", method=f"{total:,} in {len(files)} files"))
    return found


def _refused(damage: Mapping[str, int]) -> list[Row]:
    told = {"flips": "single bits flipped, drawn by chance,", "cuts": "shorter lengths, which are all,"}
    found = []
    for what, name in (("flips", "flipped bit"), ("cuts", "cut")):
        claim, tried = f"Packed files that are refused for a {name}, share", damage[what]
        method = f"{tried:,} {told[what]} of a file of {damage['bytes']:,} bytes"
        found.append(exactly(claim, 1, [damage[f"{what}_refused"] / tried], "1", method=method))
    return found
