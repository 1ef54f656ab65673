"""Measures for `speed`: seconds and FLOPs of training steps taken in turns, and the peak memory of one model."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.phase1_cognate.experiments.speed import CASES, OFF, SIZES, TURNS
from agentforge.train import nanochat

Step = Callable[[], None]
LossOf = Callable[[Tensor], Tensor]


def speeds(size: str) -> dict[str, Any]:
    """CPU seconds of each turn, FLOPs of a step and parameters, of every case and of nanochat."""
    torch.set_num_threads(1)
    shape = _shape(size, "off")
    models: dict[str, tuple[nn.Module, LossOf]] = {
        "nanochat, equal": nanochat.equal(shape, SIZES[size][1]),
        "nanochat, as it is": nanochat.as_it_is(shape, SIZES[size][1]),
        **{case: _titan(size, case) for case in CASES},
    }
    parameters = {name: sum(p.numel() for p in model.parameters()) for name, (model, _) in models.items()}
    if abs(parameters["nanochat, equal"] / parameters["off"] - 1) > 0.02:
        raise ValueError(f"{size}: the sizes differ by more than 2 %: {parameters}")
    ids_BT = _batch(size)
    flops = {name: _flops(loss_of, ids_BT) for name, (_, loss_of) in models.items()}
    steps = {name: _step(model, loss_of, ids_BT) for name, (model, loss_of) in models.items()}
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(TURNS):
        for name, step in steps.items():
            began = time.process_time()
            step()
            seconds[name].append(time.process_time() - began)
    return {"tokens": ids_BT.numel(), "parameters": parameters, "flops": flops, "seconds": seconds}


def memory(size: str, case: str) -> dict[str, Any]:
    """Bytes of resident memory that a model, its optimiser and three steps add at most. Needs a fresh process."""
    torch.set_num_threads(1)
    ids_BT = _batch(size)
    before = _resident("VmRSS")
    model, loss_of = _titan(size, case)
    step = _step(model, loss_of, ids_BT)
    for _ in range(3):
        step()
    return {"peak_bytes": _resident("VmHWM") - before, "before_bytes": before}


def _shape(size: str, case: str) -> TitanConfig:
    kept, changed = CASES[case]
    off = {name: value for name, value in OFF.items() if name not in kept}
    return TitanConfig.preset(size, **{**off, **changed})


def _titan(size: str, case: str) -> tuple[nn.Module, LossOf]:
    torch.manual_seed(Rng(42, "speed", size, case).seed)
    model = TitanForCausalLM(_shape(size, case)).train()

    def loss_of(ids_BT: Tensor) -> Tensor:
        loss: Tensor = model(input_ids=ids_BT, labels=ids_BT, logits_to_keep=1).loss
        return loss

    return model, loss_of


def _batch(size: str) -> Tensor:
    vocabulary = TitanConfig.preset(size).vocab_size
    return torch.randint(vocabulary, SIZES[size], generator=Rng(42, "speed/batch", size).torch())


def _step(model: nn.Module, loss_of: LossOf, ids_BT: Tensor) -> Step:
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        loss_of(ids_BT).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()

    return step


def _flops(loss_of: LossOf, ids_BT: Tensor) -> int:
    """Of one forward and backward. The counter does not know the CPU's fused attention: here it is taken apart."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        loss_of(ids_BT).backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops())


def _resident(field: str) -> int:
    """VmRSS: resident now; VmHWM: the most so far (ru_maxrss would count the parent's, too)."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])
