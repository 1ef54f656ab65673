"""CompressionValidator: the input and the file that was read back, on the test split, which decided nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.scoring import score_items
from agentforge.data.splits import Split
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase8_compression.start import Start
from agentforge.phase8_compression.worth import kept
from agentforge.train.evaluate import answers, item_loss, text_bits
from agentforge.train.judging import accuracies

INPUT, FINAL = "input", "final"
_TEXT_ROWS = 64  # tokens


@dataclass(frozen=True)
class Validated:
    """`said`: the final model's answers, by PyTorch, which its files are held to."""

    measured: list[Measurement]
    items: list[Item]
    said: list[str]
    passed: bool

    @property
    def values(self) -> dict[str, float]:
        return {one.name.removeprefix("compression/"): one.value for one in self.measured}


def validate(start: Start, model: Any, codec: Codec) -> Validated:
    items = start.items(Split.TEST, start.config.evaluation.test_items)
    before, told = _judged(start, INPUT, start.model, start.codec, items)
    after, said = _judged(start, FINAL, model, codec, items)
    mean, each = kept(items, score_items(items, told), score_items(items, said))
    method = f"share of the input's right answers, {len(items):,} items of the test split; spread: standard error"
    name = "compression/accuracy_retention"
    measured = [*before, *after]
    measured.append(Measurement(name, mean.share, "1", f"{method}; mean over families", len(items), mean.error))
    for family, one in each.items():
        count = sum(item.family == family for item in items)
        measured.append(Measurement(f"{name}/{family}", one.share, "1", method, count, one.error))
    least = start.config.target.min_retention
    worst = min(each, key=lambda name: each[name].share)
    passed = least is None or each[worst].share + each[worst].error >= least
    asked = (
        "nothing was asked" if least is None else f"at least {least:.1%} in every family, within one standard error"
    )
    how = f"1 where the retention on the test split is what was asked: {asked}; else 0"
    measured.append(Measurement("compression/validation_passed", float(passed), "1", how, len(items)))
    return Validated(measured, items, said, passed)


def _judged(
    start: Start, name: str, model: Any, codec: Codec, items: Sequence[Item]
) -> tuple[list[Measurement], list[str]]:
    """Bits per byte of the items' own text, since losses per token of two vocabularies cannot be compared."""
    batch, prefix = start.config.evaluation.batch, f"compression/{name}"
    texts = [item.prefix + item.prompt + item.completion for item in items]
    with frozen(model):
        loss = item_loss(model, codec, items, name=f"{prefix}/loss", batch=batch)
        bits = text_bits(model, codec, texts, name=f"{prefix}/bits_per_byte", length=_TEXT_ROWS, batch=batch)
        said = answers(model, codec, items, batch=batch)
    return [loss, bits, *accuracies(items, said, prefix)], said
