"""What one model is worth on held-out items: loss, perplexity and exact answers, with its thoughts and without."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from agentforge.data import scoring
from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.kit.measure import Measurement
from agentforge.models.thoughts.thinker import Thinker
from agentforge.train.evaluate import answers, item_loss, perplexity, thoughtful_answers

WITH_THOUGHTS = "_thinking"


def judged(
    model: Any, codec: Codec, items: Sequence[Item], prefix: str, *, batch: int, thinker: Thinker | None = None
) -> list[Measurement]:
    """`thinker`: the same model with its habits, where it thinks; its answers are asked for besides."""
    loss = item_loss(model, codec, items, name=f"{prefix}/loss", batch=batch)
    found = [loss, *perplexity(loss, f"{prefix}/perplexity")]
    found += accuracies(items, answers(model, codec, items, batch=batch), prefix)
    if thinker is not None:
        said = thoughtful_answers(thinker, codec, items, batch=batch)
        found += accuracies(items, said, f"{prefix}{WITH_THOUGHTS}")
    return found


def accuracies(items: Sequence[Item], said: Sequence[str], prefix: str) -> list[Measurement]:
    """The mean over families, then each of them."""
    families = scoring.accuracy(items, said, prefix=prefix)
    method = f"mean over {len(families)} families, {families[0].method}"
    mean = Measurement(f"{prefix}/accuracy", fmean(one.value for one in families), "1", method, len(items))
    return [mean, *families]


def table(values: dict[str, float], rows: Sequence[str]) -> str:
    """For a card. Models as rows; loss, perplexity, the mean and the families of the first as columns."""
    start = f"{rows[0]}/accuracy/"
    families = [name.removeprefix(start) for name in values if name.startswith(start)]
    columns = ["loss", "perplexity", "accuracy", *(f"accuracy/{family}" for family in families)]
    lines = [f"| | loss | perplexity | mean | {' | '.join(families)} |", "|---" * (len(columns) + 1) + "|"]
    for who in (*rows, *(f"{who}{WITH_THOUGHTS}" for who in rows)):
        found = [values.get(f"{who}/{column}") for column in columns]
        if any(value is not None for value in found):
            cells = ["not measured" if value is None else f"{value:.3g}" for value in found]
            lines.append(f"| {who} | {' | '.join(cells)} |")
    return "\n".join(lines)
