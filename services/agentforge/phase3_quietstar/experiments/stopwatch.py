"""Measures for `speed`: thoughts in parallel and one position at a time, in turns, and what memory they take."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.models.thoughts.generate import Thoughts, generate
from agentforge.models.thoughts.sampling import Draws, Sampling, draw
from agentforge.models.thoughts.text import read
from agentforge.models.thoughts.tokens import Marks
from agentforge.phase3_quietstar.experiments.speed import BATCH, LENGTH, NAIVE_TURNS, SMALLER, THOUGHTS, TURNS

MARKS, SAMPLING, DRAWS = Marks(5, 6), Sampling(THOUGHTS, LENGTH), Draws(42, ("speed",))


@torch.no_grad()
def times(precision: str) -> dict[str, Any]:
    """Seconds of each turn; floating-point operations of matrix products, and how many a second there can be."""
    model, ids_BT = _model(precision), _batch(BATCH)
    ways: dict[str, tuple[Callable[[], Any], int]] = {
        "parallel": (lambda: parallel(model, ids_BT), TURNS),
        "positions": (lambda: one_by_one(model, ids_BT, list(range(len(ids_BT)))), NAIVE_TURNS),
        "places": (lambda: [one_by_one(model, ids_BT, [row]) for row in range(len(ids_BT))], 1),
    }
    thoughts, naive_BTNL = ways["parallel"][0](), ways["positions"][0]()  # the first turn does not count
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS):
        for name, (way, turns) in ways.items():
            if turn < turns:
                began = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - began)
    with FlopCounterMode(display=False) as counter:
        parallel(model, ids_BT)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "threads": torch.get_num_threads(), "seconds": seconds, "matrix_flop": int(counter.get_total_flops()),
        "flop_per_second": _speed(precision),
        **_same(thoughts, naive_BTNL),
    }  # fmt: skip


@torch.no_grad()
def same(precision: str) -> dict[str, Any]:
    model, ids_BT = _model(precision), _batch(SMALLER)
    return _same(parallel(model, ids_BT), one_by_one(model, ids_BT, list(range(len(ids_BT)))))


@torch.no_grad()
def memory(precision: str) -> dict[str, Any]:
    """Bytes of resident memory that thinking adds at most. Needs a fresh process."""
    model, ids_BT = _model(precision), _batch(BATCH)
    parallel(model, ids_BT[:1, :2])  # what is loaded with the first call stays out
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is what is resident now
    before = _resident("VmRSS")
    parallel(model, ids_BT)
    return {"precision": precision, "peak_bytes": _resident("VmHWM") - before, "before_bytes": before}


def parallel(model: TitanForCausalLM, ids_BT: Tensor) -> Thoughts:
    places_BP = torch.arange(ids_BT.shape[1]).expand_as(ids_BT)
    return generate(read(model, ids_BT), places_BP, MARKS, SAMPLING, DRAWS)[0]


def one_by_one(model: TitanForCausalLM, ids_BT: Tensor, rows: list[int]) -> Tensor:
    """Thoughts of these rows [R, T, N, L], position after position, by the plain model and its cache."""
    draws = Draws(DRAWS.seed, DRAWS.counters, rows)
    found = []
    for position in range(ids_BT.shape[1]):
        uniform_R1NLU = draws.uniform(torch.full((len(rows), 1), position), SAMPLING)
        said_XL = _thoughts(model, ids_BT[rows, : position + 1], uniform_R1NLU.flatten(0, 2))
        found.append(said_XL.view(len(rows), THOUGHTS, -1))
    return torch.stack(found, 1)


def _thoughts(model: TitanForCausalLM, prefix_RT: Tensor, uniform_XLU: Tensor) -> Tensor:
    """[R x N, L] with both marks; ended ones are filled up with end marks. A row of 20 + 14 tokens is one chunk."""
    cache = model(input_ids=prefix_RT, use_cache=True, logits_to_keep=1).past_key_values
    cache.reorder_cache(torch.arange(len(prefix_RT)).repeat_interleave(THOUGHTS))
    said = [torch.full((len(uniform_XLU),), MARKS.start)]
    open_X = torch.ones_like(said[0], dtype=torch.bool)
    for step in range(LENGTH + 2):
        logits_XV = model(input_ids=said[-1][:, None], past_key_values=cache).logits[:, -1]
        open_X = open_X & (said[-1] != MARKS.end)
        if step < LENGTH:
            said.append(draw(logits_XV, uniform_XLU[:, step], MARKS.start, SAMPLING).where(open_X, MARKS.end))
        elif step == LENGTH:
            said.append(torch.full_like(said[0], MARKS.end))
    return torch.stack(said, 1)


def _same(thoughts: Thoughts, naive_BTNL: Tensor) -> dict[str, int]:
    """How many are equal; parallel ones may be shorter where all have ended, and after the end all is end."""
    ids_BTNL = F.pad(thoughts.ids_BPNL, (0, LENGTH + 2 - thoughts.ids_BPNL.shape[-1]), value=MARKS.end)
    equal_BTN = (ids_BTNL == naive_BTNL).all(-1)
    return {"same": int(equal_BTN.sum()), "thoughts": equal_BTN.numel()}


def _model(precision: str) -> TitanForCausalLM:
    torch.manual_seed(Rng(42, "speed").seed)
    model: TitanForCausalLM = TitanForCausalLM(TitanConfig()).to(getattr(torch, precision))
    model.train(False)
    return model.requires_grad_(False)  # or counting operations asks for gradients that are not there


def _batch(shape: tuple[int, int]) -> Tensor:
    """Ids that are no marks."""
    return torch.randint(7, TitanConfig().vocab_size, shape, generator=Rng(42, "speed/batch").torch())


def _speed(precision: str) -> float:
    """FLOP/s of one product: 320 thoughts by an MLP's matrix, weights in the cache. Best of some."""
    config, dtype = TitanConfig(), getattr(torch, precision)
    x_XD = torch.ones(BATCH[0] * BATCH[1] * THOUGHTS, config.hidden_size, dtype=dtype)
    weight_ED = torch.ones(config.intermediate_size, config.hidden_size, dtype=dtype)
    best = 0.0
    for _ in range(200):
        began = time.perf_counter()
        F.linear(x_XD, weight_ED)
        best = max(best, 2 * x_XD.numel() * len(weight_ED) / (time.perf_counter() - began))
    return best


def _resident(field: str) -> int:
    """VmRSS: resident now; VmHWM: the most so far."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])
