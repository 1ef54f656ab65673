"""The champion as a directory; its numbers on the test split, beside its parents' and plain linear's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from agentforge.data.tokenizer import load_tokenizer
from agentforge.kit.config import resolved
from agentforge.kit.context import PhaseContext
from agentforge.kit.digests import canonical_json
from agentforge.kit.measure import Measurement
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase2_evomerge.evaluation.measurements import fitness_measurements, outcome_measurements
from agentforge.phase2_evomerge.evaluation.wall import wall_time
from agentforge.phase2_evomerge.judge import Judge, Score
from agentforge.phase2_evomerge.operators.tensors import Tensors, digest, merged
from agentforge.phase2_evomerge.parents import Parents
from agentforge.train.state import put_tensors

_NAME = "champion"
_CARD = """\
---
library_name: transformers
tags: [agentforge, evomerge]
---
# champion

{about}

| measured | value | unit | n | how |
|---|---|---|---|---|
{rows}

Fitness is relative: 1.0 is the mean of the parents on the same questions. The test split had no part in choosing.

```
agentforge chat champion --prompt "{prompt}"
```

evomerge.json holds the settings, how each generation went, and the champion's family tree.
"""


def publish(
    context: PhaseContext,
    config: EvoMergeConfig,
    parents: Parents,
    test: Judge,
    tensors: dict[str, Tensor],
    origin: dict[str, Any],
    record: dict[str, Any],
) -> None:
    linear = merged("linear", parents.tensors, None, None, config.seed)
    scores = {_NAME: test.score(tensors), "linear": test.score(linear)}
    scores |= dict(zip(parents.names, test.parents, strict=True))
    measured = numbers(test, scores, parents.names)
    for one in measured:
        context.measure(one)
    context.measure(wall_time(parents.child, name=f"evomerge/{_NAME}/wall_time", length=32))
    if _NAME not in context.published:
        with context.output(_NAME) as directory:
            write(directory, config, parents, tensors, origin, record, measured)


def numbers(test: Judge, scores: dict[str, Score], parents: Sequence[str]) -> list[Measurement]:
    """All of the test split."""
    found = []
    items = sum(test.questions.count(name) for name in test.questions.scored)
    for who, score in scores.items():
        found += fitness_measurements(who, score.terms, score.fitness, items)
        found += outcome_measurements(who, score.outcome, test.questions)
    champion, best = scores[_NAME], max(scores[name].fitness for name in parents)
    method = "fitness on the test split less 1, which is the parents' mean"
    found.append(Measurement("evomerge/improvement", champion.fitness - 1, "1", method, items))
    method = "fitness on the test split less that of {}, same questions"
    for name, other in (("best_parent", best), ("linear", scores["linear"].fitness)):
        how = method.format(name.replace("_", " "))
        found.append(Measurement(f"evomerge/margin/{name}", champion.fitness - other, "1", how, items))
    return found


def write(
    directory: Path,
    config: EvoMergeConfig,
    parents: Parents,
    tensors: Tensors,
    origin: dict[str, Any],
    record: dict[str, Any],
    measured: Sequence[Measurement],
) -> None:
    """No times in it: the same run gives the same bytes."""
    put_tensors(parents.child, tensors)
    parents.child.save_pretrained(directory)  # type: ignore[operator]
    load_tokenizer(parents.directory).save_pretrained(directory)
    fitness = next(one.value for one in measured if one.name == f"evomerge/{_NAME}/fitness")
    whole = {
        "fitness": fitness,
        "improvement": fitness - 1,
        "origin": origin,
        "parents": {name: digest(each) for name, each in zip(parents.names, parents.tensors, strict=True)},
        "base": parents.base_name,
        "config": resolved(config),
        **record,
    }
    (directory / "evomerge.json").write_bytes(canonical_json(whole))
    about = f"Merged from {', '.join(parents.names)}" + (
        f" (base: {parents.base_name})" if parents.base_name else ""
    )
    about += f" by {config.algorithm if config.algorithm != 'merge' else config.merge.method}."
    own = [one for one in measured if one.name.split("/")[1] in (_NAME, "linear", *parents.names, "improvement")]
    rows = "\n".join(_row(one) for one in own)
    prompt = "Q: 12 + 34 = A:"
    (directory / "README.md").write_text(_CARD.format(about=about, rows=rows, prompt=prompt))


def _row(one: Measurement) -> str:
    spread = "" if one.spread is None else f" ± {one.spread:.3g}"
    return f"| {one.name} | {one.value:.4g}{spread} | {one.unit} | {one.n} | {one.method} |"
