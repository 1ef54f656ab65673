"""The champion as a directory; its numbers on the test split, beside its parents' and plain linear's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from agentforge.data.tokenizer import load_tokenizer
from agentforge.kit.config import resolved
from agentforge.kit.context import PhaseContext
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import RunFailed
from agentforge.kit.measure import Measurement
from agentforge.phase2_evomerge.config import EvoMergeConfig
from agentforge.phase2_evomerge.evaluation.measurements import fitness_measurements, outcome_measurements
from agentforge.phase2_evomerge.evaluation.wall import wall_time
from agentforge.phase2_evomerge.judge import Judge, Score
from agentforge.phase2_evomerge.operators.tensors import Tensors, digest, merged
from agentforge.phase2_evomerge.parents import CHAMPION, LINEAR, Parents
from agentforge.train.state import put_tensors

_COMPARED = ("fitness", "perplexity", "accuracy")
_CARD = """\
---
library_name: transformers
tags: [agentforge, evomerge]
---
# champion

{about}

On {items} questions of the test split, which had no part in choosing:

{table}

Fitness is the weighted sum of perplexity, accuracy, FLOPs and bytes, each relative to the parents' mean (1.0).
Perplexity is per answer token; families: share of items answered exactly. `linear` is the parents' plain mean.

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
    scores = {CHAMPION: test.score(tensors), LINEAR: test.score(linear)}
    if flaw := scores[CHAMPION].terms.flaw:
        message = f"the champion has no fitness on the test split: {flaw}"
        raise RunFailed(message, reason="NO_FIT_CHILD", next_step="Merge models from one trunk.")
    scores |= dict(zip(parents.names, test.parents, strict=True))
    measured = numbers(test, scores, parents.names)
    for one in measured:
        context.measure(one)
    context.measure(wall_time(parents.child, name=f"evomerge/{CHAMPION}/wall_time", length=32))
    if CHAMPION not in context.published:
        with context.output(CHAMPION) as directory:
            prompt = prompt_for(test, scores[CHAMPION])
            write(directory, config, parents, tensors, origin, record, measured, prompt)


def numbers(test: Judge, scores: dict[str, Score], parents: Sequence[str]) -> list[Measurement]:
    """All of the test split."""
    found = []
    items = sum(test.questions.count(name) for name in test.questions.scored)
    for who, score in scores.items():
        every = fitness_measurements(who, score.terms, score.fitness, items)
        every += outcome_measurements(who, score.outcome, test.questions)
        # Of the others what the champion is compared in.
        found += [one for one in every if who == CHAMPION or one.name.split("/")[2] in _COMPARED]
    champion, best = scores[CHAMPION], max(scores[name].fitness for name in parents)
    method = "fitness on the test split less 1, which is the parents' mean"
    found.append(Measurement("evomerge/improvement", champion.fitness - 1, "1", method, items))
    method = "fitness on the test split less that of {}, same questions"
    for name, other in (("best_parent", best), (LINEAR, scores[LINEAR].fitness)):
        if math.isfinite(other):  # each parent has a fitness, but their mean may have none
            how = method.format(name.replace("_", " "))
            found.append(Measurement(f"evomerge/margin/{name}", champion.fitness - other, "1", how, items))
    return found


def prompt_for(test: Judge, champion: Score) -> str:
    """A question of the family that it is best at."""
    accuracies = champion.outcome.accuracies
    return test.questions.prompts[max(accuracies, key=lambda name: accuracies[name])]


def write(
    directory: Path,
    config: EvoMergeConfig,
    parents: Parents,
    tensors: Tensors,
    origin: dict[str, Any],
    record: dict[str, Any],
    measured: Sequence[Measurement],
    prompt: str,
) -> None:
    """No times in it, nor how many processes worked: the same run gives the same bytes."""
    put_tensors(parents.child, tensors)
    parents.child.save_pretrained(directory)  # type: ignore[operator]
    load_tokenizer(parents.directory).save_pretrained(directory)
    fitness = next(one.value for one in measured if one.name == f"evomerge/{CHAMPION}/fitness")
    whole = {
        "fitness": fitness,
        "improvement": fitness - 1,
        "origin": origin,
        "parents": {name: digest(each) for name, each in zip(parents.names, parents.tensors, strict=True)},
        "base": parents.base_name,
        "config": {name: value for name, value in resolved(config).items() if name != "processes"},
        **record,
    }
    (directory / "evomerge.json").write_bytes(canonical_json(whole))
    about = f"Merged from {', '.join(parents.names)}" + (
        f" (base: {parents.base_name})" if parents.base_name else ""
    )
    about += " by a given recipe." if config.recipe.given is not None else f" by {config.algorithm}."
    card = _CARD.format(
        about=about, items=f"{measured[-1].n:,}", table=_table(measured, parents.names), prompt=prompt
    )
    (directory / "README.md").write_text(card)


def _table(measured: Sequence[Measurement], parents: Sequence[str]) -> str:
    """Models as rows; fitness, perplexity and the families as columns."""
    values = {one.name.removeprefix("evomerge/"): one.value for one in measured}
    start = f"{CHAMPION}/accuracy/"
    families = [name.removeprefix(start) for name in values if name.startswith(start)]
    columns = ["fitness", "perplexity", *(f"accuracy/{family}" for family in families)]
    lines = ["| | fitness | perplexity | " + " | ".join(families) + " |", "|---" * (len(columns) + 1) + "|"]
    for who in (CHAMPION, LINEAR, *parents):
        cells = [f"{values[f'{who}/{column}']:.3g}" if f"{who}/{column}" in values else "" for column in columns]
        lines.append(f"| {who} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
