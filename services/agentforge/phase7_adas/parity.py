"""Whether the files compute what PyTorch does: over batches, new tokens and tokens seen, from none on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agentforge.edge.asking import engine_of
from agentforge.edge.device.runtime.generate import Engine
from agentforge.edge.device.runtime.state import State
from agentforge.edge.graph.facts import GraphFacts
from agentforge.kit.errors import RunFailed
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.models.ternary.linear import frozen, ternary_layers
from agentforge.phase7_adas.graphs import PLAIN, TENSORRT, Files
from agentforge.phase7_adas.judging import who
from agentforge.phase7_adas.start import Start

PLAIN_BOUND = 1e-3  # of the largest logit
TERNARY_BOUND = 0.1  # an activation that is rounded the other way moves everything behind it


def grid(facts: GraphFacts) -> Iterator[tuple[int, int, int]]:
    """Batch, new tokens, tokens seen."""
    most = facts.context or 2**31
    reach = facts.window or facts.context or 128
    seen = sorted({0, 1, 5, facts.piece, min(reach + 3, 4 * facts.piece)})
    new = sorted({1, 2, facts.piece})
    yield from ((b, t, p) for b, t, p in itertools.product((1, 3), new, seen) if t + p <= most)


@dataclass(frozen=True)
class Case:
    """Rows that stand at different places: `seen` tokens were read before the `new` ones."""

    seen: list[list[int]]
    new: list[list[int]]
    logits: NDArray[np.float32]  # PyTorch's, after the last token of each row


def check_parity(start: Start, model: Any, files: Files) -> list[Measurement]:
    """Raises where a file computes something else."""
    bound = TERNARY_BOUND if ternary_layers(model) else PLAIN_BOUND
    with torch.no_grad(), frozen(model):
        cases = {shape: _case(start, model, files.facts, shape) for shape in grid(files.facts)}
    return [_file(start, files, name, cases, bound) for name in (PLAIN, TENSORRT)]


def _file(
    start: Start, files: Files, name: str, cases: Mapping[tuple[int, int, int], Case], bound: float
) -> Measurement:
    engine = engine_of(files.path(name), start.config.machine.threads or 0)
    worst = 0.0
    for (batch, new, seen), case in cases.items():
        away = _away(engine, case)
        worst = max(worst, away)
        if not away <= bound:
            message = (
                f"{name} with {batch} rows, {new} new tokens and {seen} seen is {away:.2g} of the largest logit "
                f"from PyTorch; {bound:g} is the most"
            )
            raise RunFailed(message, reason="PARITY_LOST", field=name, next_step="Report it, with the model.")
    method = f"largest difference to PyTorch's logits over {len(cases)} shapes, of the largest logit"
    return Measurement(f"adas/{who(name)}/parity", worst, "1", method, len(cases))


def _case(start: Start, model: Any, facts: GraphFacts, shape: tuple[int, int, int]) -> Case:
    batch, new, seen = shape
    dice = Rng(start.config.seed, "adas/parity", *shape).numpy()
    rows = [dice.integers(0, facts.vocabulary, max(0, seen - row) + new).tolist() for row in range(batch)]
    device = next(model.parameters()).device
    logits = [model(torch.tensor([row], device=device)).logits[0, -1].float().cpu().numpy() for row in rows]
    return Case([row[:-new] for row in rows], [row[-new:] for row in rows], np.stack(logits))


def _away(engine: Engine, case: Case) -> float:
    state = State(engine.graph, len(case.new))
    if any(case.seen):
        engine.feed(state, case.seen)
    found = engine.feed(state, case.new)
    return float((np.abs(found - case.logits).max(1) / np.abs(case.logits).max(1)).max())
