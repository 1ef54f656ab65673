"""From tensor to tensor: read, merged, checked, cast, written. Several at a time; how many changes no bit."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.methods.base import Sources, unfinite
from agentforge.phase2_evomerge.streaming.budget import Budget
from agentforge.phase2_evomerge.streaming.fit import is_float
from agentforge.phase2_evomerge.streaming.header import Stored
from agentforge.phase2_evomerge.streaming.shards import FLOATS, ModelFiles
from agentforge.phase2_evomerge.streaming.writing import Planned, WeightFiles

if TYPE_CHECKING:
    from agentforge.phase2_evomerge.streaming.merge import Plan, Progress

_SPARE = 1 << 20  # elements that may be worked on beside the largest tensor
_WORKERS = 2


def write_weights(plan: Plan, directory: Path, progress: Progress) -> tuple[int, int]:
    """How many tensors were written, and their bytes."""
    _try_out(plan)
    stored = list(plan.models[0].tensors.values())
    code = next(code for code, name in FLOATS.items() if name == plan.dtype)
    files = WeightFiles(
        directory,
        [Planned(each.name, code if is_float(each.dtype) else each.dtype, each.shape) for each in stored],
        plan.max_shard_bytes,
    )
    try:
        return len(stored), _run(_Work(plan, files), stored, progress)
    finally:
        files.close()


def _try_out(plan: Plan) -> None:
    """On one number: options that do not fit to so many models are refused before a file is made."""
    zero = torch.zeros(1)
    parents = (zero,) * len(plan.models)
    plan.method.merge(Sources("", parents, None if plan.base is None else zero, plan.seed), plan.options)


class _Work:
    def __init__(self, plan: Plan, files: WeightFiles) -> None:
        self._plan, self._files = plan, files
        self._dtype: torch.dtype = getattr(torch, plan.dtype)
        self._budget = Budget(max(each.numel for each in plan.models[0].tensors.values()) + _SPARE)
        self.stopping = threading.Event()

    def one(self, stored: Stored) -> int:
        """Bytes written."""
        with self._budget.share(stored.numel):
            if self.stopping.is_set():
                return 0
            merged = self._merged(stored.name) if is_float(stored.dtype) else self._equal(stored.name)
            self._files.write(stored.name, merged)
            return merged.nbytes

    def _merged(self, name: str) -> Tensor:
        plan = self._plan
        parents = tuple(_finite(model, name) for model in plan.models)
        base = None if plan.base is None else _finite(plan.base, name)
        merged = plan.method.merge(Sources(name, parents, base, plan.seed), plan.options).to(self._dtype)
        if kind := unfinite(merged):
            message = f"tensor {name!r} comes out of the merge as {kind} in {plan.dtype}"
            step = "Take another --dtype, or smaller weights."
            raise InvalidInput(message, reason="MERGED_NOT_FINITE", field=name, next_step=step)
        return merged

    def _equal(self, name: str) -> Tensor:
        """Counters, tables of positions and the like have no mean."""
        first, *others = self._plan.all
        raw = first.raw(name)
        for other in others:
            if not torch.equal(raw, other.raw(name)):
                dtype = first.tensors[name].dtype
                message = f"tensor {name!r} ({dtype}) differs between {first.directory} and {other.directory}"
                step = "Only floating-point tensors can be merged; others must be equal."
                raise InvalidInput(message, reason="BUFFERS_DIFFER", field=name, next_step=step)
        return raw


def _finite(model: ModelFiles, name: str) -> Tensor:
    tensor = model.floats(name)
    if kind := unfinite(tensor):
        message = f"tensor {name!r} in {model.tensors[name].file} holds {kind}"
        step = "Leave this model out, or take an earlier checkpoint of it."
        raise InvalidInput(message, reason="NOT_FINITE", field=name, next_step=step)
    return tensor


def _run(work: _Work, stored: list[Stored], progress: Progress) -> int:
    """The largest first, so that no worker begins with it when the others have nothing left."""
    total, done = sum(each.numel for each in stored), 0
    written = 0
    ordered = sorted(stored, key=lambda each: -each.numel)
    with _one_thread_each() as pool:
        futures = [pool.submit(work.one, each) for each in ordered]
        try:
            for each, future in zip(ordered, futures, strict=True):
                written += future.result()
                done += each.numel
                progress(done, total)
        except BaseException:
            work.stopping.set()
            pool.shutdown(cancel_futures=True)
            raise
    return written


@contextmanager
def _one_thread_each() -> Iterator[ThreadPoolExecutor]:
    """Workers are the parallelism here. PyTorch's own threads would fight with them for the same cores."""
    before = torch.get_num_threads()
    workers = min(_WORKERS, len(os.sched_getaffinity(0)))
    try:
        with ThreadPoolExecutor(workers, "merge", initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
