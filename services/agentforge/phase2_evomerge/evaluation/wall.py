"""Wall time: measured once for an architecture and reported beside the FLOPs; no decision reads it."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from agentforge.kit.measure import Measurement


@torch.inference_mode()
def wall_time(
    model: nn.Module, *, name: str, length: int, rows: int = 8, repeats: int = 9, warm: int = 2
) -> Measurement:
    """Milliseconds per token of a forward of `rows` x `length` tokens, by the median of the repeats."""
    model.eval()
    device = next(model.parameters()).device
    ids_BT = torch.zeros(rows, length, dtype=torch.int64, device=device)
    seconds = []
    for number in range(warm + repeats):
        begin = time.perf_counter()
        model(input_ids=ids_BT)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number >= warm:
            seconds.append(time.perf_counter() - begin)
    each = [1_000 * one / (rows * length) for one in seconds]
    place = f"{device.type}, {torch.get_num_threads()} threads"
    method = f"median of {repeats} warm forwards of {rows} x {length} tokens; {place}"
    spread = statistics.stdev(each) if repeats > 1 else None
    return Measurement(name, statistics.median(each), "ms/token", method, repeats, spread)
