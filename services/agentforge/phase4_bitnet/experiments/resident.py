"""Measures for `memory`. Each needs a process of its own: it is compared with what is resident before."""

from __future__ import annotations

import ctypes
import gc
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from agentforge.kit.rng import Rng
from agentforge.models.ternary.convert import projections
from agentforge.models.ternary.kernels import KernelLinear, chosen
from agentforge.models.ternary.linear import Mode
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.phase4_bitnet.experiments import files
from agentforge.phase4_bitnet.experiments.shapes import CONTEXT, OURS, PACKED, PLAIN, SHAPES
from agentforge.phase4_bitnet.experiments.ways import built

_SMALL = (64, 64)  # of the layer that loads the libraries


@torch.no_grad()
def linear_layers(shape: str, way: str) -> dict[str, Any]:
    """A token through all layers that are ternary in ours."""
    torch.set_num_threads(1)
    with torch.device("meta"):
        model = files.random_model(SHAPES[shape])
    shapes = [_shape(model.get_submodule(name)) for name in projections(model)]
    layer = _ternary if way == OURS else _plain
    _through([layer(*_SMALL)])
    return _grown(lambda: [layer(*each) for each in shapes], _through) | {
        "weights": sum(rows * columns for rows, columns in shapes)
    }


@torch.no_grad()
def whole_model(shape: str, way: str) -> dict[str, Any]:
    torch.set_num_threads(1)
    _through([_ternary(*_SMALL), _plain(*_SMALL)])
    with TemporaryDirectory(prefix="af-memory-") as folder:
        part = PACKED if way == OURS else PLAIN
        subprocess.run([sys.executable, "-m", files.__name__, shape, folder, part], check=True, stdout=sys.stderr)
        return _grown(lambda: built(way, Path(folder)), _decode)


def _grown(load: Callable[[], Any], use: Callable[[Any], object]) -> dict[str, Any]:
    """Bytes above those before: the most while loading, then the most in use."""
    before = _settled()
    loaded = load()
    loading = _resident("VmHWM") - before
    kept = _settled() - before
    use(loaded)
    peak = _resident("VmHWM") - before
    return {"peak_bytes": peak, "kept_bytes": kept, "loading_bytes": loading, "kernel": chosen()}


def _settled() -> int:
    """Resident now, with what is free given back; the highest so far is from here on the highest since."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _resident("VmRSS")


def _resident(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def _shape(layer: nn.Module) -> tuple[int, int]:
    assert isinstance(layer, nn.Linear)
    return layer.out_features, layer.in_features


def _plain(rows: int, columns: int) -> nn.Module:
    return nn.Linear(columns, rows, bias=False)


def _ternary(rows: int, columns: int) -> nn.Module:
    generator = Rng(42, "memory", rows, columns).torch()
    code_OI = torch.randint(-1, 2, (rows, columns), generator=generator, dtype=torch.int8)
    return KernelLinear(PackedLinear(code_OI, torch.ones(1, 1), None, Mode()))


def _through(layers: list[Any]) -> None:
    for layer in layers:
        layer(torch.ones(1, layer.in_features))


def _decode(way: Any) -> None:
    way.reset()
    for token in range(CONTEXT):
        way.read([token])
