"""Measures for `concurrent`: real models, real workers, and the memory that the kernel says they share out."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from agentforge.kit.agents.agent import Agent, Outcome, Task
from agentforge.kit.agents.graph import Graph
from agentforge.kit.agents.memory import MemoryGovernor
from agentforge.kit.agents.run import run_graph
from agentforge.kit.audience import Quiet
from agentforge.kit.rng import Rng

_SHAPE: dict[str, Any] = {
    "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 4,
    "vocab_size": 512, "max_position_embeddings": 64, "tie_word_embeddings": True,
}  # fmt: skip
_SHARE = 0.1  # of a tensor's own deviation, by which it is moved
_EVERY_S = 0.01
_SELDOM = 20  # samples of agents for one of all, which is slow
_LAST = {"quality_validator": "quality.json", "memory_optimizer": "memory.json"}


def measure(models: int, asked_bytes: int, limit_bytes: int, seed: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    with TemporaryDirectory(prefix="af-twelve-") as folder:
        place = Path(folder)
        for number in range(models):
            _fresh(seed, number).save_pretrained(place / f"model-{number}")
        wanted = [_fingerprint(_moved(_load(place / f"model-{number}"), seed, number)) for number in range(models)]
        governor = MemoryGovernor(place / "memory", limit_bytes)
        context = multiprocessing.get_context("fork")
        go = context.Event()
        workers = [
            context.Process(target=_work, args=(place, number, seed, asked_bytes, governor, go))
            for number in range(models)
        ]
        for each in workers:
            each.start()
        found = _watched(workers, go)
        outcomes = [_outcome(place / f"told-{number}.json") for number in range(models)]
        size = (place / "model-0" / "model.safetensors").stat().st_size
    both = [{"weights": each, "quality": each} for each in wanted]
    right = sum(outcome == each for outcome, each in zip(outcomes, both, strict=True))
    return {**found, "right": right, "model_bytes": size}


def _watched(workers: list[Any], go: Any) -> dict[str, Any]:
    """From before the first agent until the last worker has ended: what agents hold alone, and the whole tree."""
    time.sleep(1.0)  # all have begun, and wait
    own, known = psutil.Process(), {os.getpid(), *(each.pid for each in workers)}
    tree_before = sum(_bytes(each.pid, "Pss") for each in (own, *own.children(recursive=True)))
    began, taken, tree, at_once, samples = time.perf_counter(), 0, tree_before, 0, 0
    go.set()
    while any(each.is_alive() for each in workers):
        every = [own.pid, *(each.pid for each in own.children(recursive=True))]
        held = [_bytes(pid, "Private_Dirty", "Private_Clean") for pid in every if pid not in known]
        taken, at_once = max(taken, sum(held)), max(at_once, len(held))
        if samples % _SELDOM == 0:
            tree = max(tree, sum(_bytes(pid, "Pss") for pid in every))
        samples += 1
        time.sleep(_EVERY_S)
    for each in workers:
        each.join()
    found = {"taken_bytes": taken, "tree_before_bytes": tree_before, "tree_bytes": tree, "at_once": at_once}
    return {**found, "samples": samples, "seconds": time.perf_counter() - began}


def _bytes(pid: int, *fields: str) -> int:
    """Of resident memory; 0 where the process has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(text.partition(f"\n{field}:")[2].split()[0]) << 10 for field in fields)


def _work(place: Path, number: int, seed: int, asked_bytes: int, governor: MemoryGovernor, go: Any) -> None:
    """As a phase's worker does it, with as many agents at once as memory allows."""
    go.wait()
    graph = _graph(number, seed, asked_bytes)
    given = {"model": place / f"model-{number}"}
    report = run_graph(graph, place / f"graph-{number}", Quiet(), given=given, memory=governor, at_most=2)
    fingerprint = _fingerprint(load_file(report.outputs["weights"] / "model.safetensors"))
    quality = json.loads(report.outputs["quality.json"].read_text())["fingerprint"]
    (place / f"told-{number}.json").write_text(json.dumps({"weights": fingerprint, "quality": quality}))


def _graph(number: int, seed: int, asked_bytes: int) -> Graph:
    def agent(name: str, work: Any, takes: str, makes: str) -> Agent:
        return Agent(name, work, (takes,), (makes,), 300.0, memory_bytes=asked_bytes)

    return Graph(
        [
            agent("model_optimizer", partial(_optimise, number, seed), "model", "weights"),
            *(agent(name, partial(_read, makes), "weights", makes) for name, makes in _LAST.items()),
        ],
        ["model"],
    )


def _optimise(number: int, seed: int, task: Task) -> Outcome:
    (task.directory / "weights").mkdir()
    tensors = _moved(_load(task.inputs["model"]), seed, number)
    save_file(tensors, task.directory / "weights" / "model.safetensors")
    return Outcome()


def _read(makes: str, task: Task) -> Outcome:
    tensors = load_file(task.inputs["weights"] / "model.safetensors")
    (task.directory / makes).write_text(json.dumps({"fingerprint": _fingerprint(tensors)}))
    return Outcome()


def _fresh(seed: int, number: int) -> LlamaForCausalLM:
    torch.manual_seed(Rng(seed, "twelve", number).seed)
    return LlamaForCausalLM(LlamaConfig(**_SHAPE))


def _load(place: Path) -> LlamaForCausalLM:
    model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(place)
    return model


@torch.no_grad()
def _moved(model: LlamaForCausalLM, seed: int, number: int) -> dict[str, Tensor]:
    generator = Rng(seed, "moved", number).torch()
    for _, tensor in sorted(model.named_parameters()):
        tensor.add_(torch.randn(tensor.shape, generator=generator) * _SHARE * tensor.std())
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def _fingerprint(tensors: dict[str, Tensor]) -> str:
    told = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        told.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return told.hexdigest()


def _outcome(place: Path) -> Any:
    return json.loads(place.read_text()) if place.exists() else None
