"""The kept model as a directory, with its card, what was measured, and thoughts to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.kit.config import resolved
from agentforge.kit.context import PhaseContext
from agentforge.kit.digests import canonical_json
from agentforge.kit.measure import Measurement
from agentforge.models.thoughts.saving import save_thinker
from agentforge.models.thoughts.speak import speak
from agentforge.models.thoughts.thinker import Thinker
from agentforge.phase3_quietstar.evaluation import token_nats
from agentforge.phase3_quietstar.judging import INPUT, THINKING, THOUGHTLESS, Judged
from agentforge.phase3_quietstar.start import Start
from agentforge.train.evaluate import ROOM

EXAMPLES = 8
DECIMALS = 4  # of a token's loss in an example
_ABOUT = {
    INPUT: "The model as it came: neither training made it better on the selection split.",
    THOUGHTLESS: "Trained without thoughts, which measured better on the selection split than training with them.",
    THINKING: "A model that thinks before hard tokens.",
}
_CARD = """\
---
library_name: transformers
tags: [agentforge, quietstar]
---
# quietstar

{about} {habits}

On {items:,} questions of the test split, which had no part in training or choosing:

{table}

Loss is nats per answer token; hard loss that of the tenth of them that was hardest for the model as it came;
families: share of questions answered exactly. `thinking`: with thoughts, from the best threshold that has any,
whatever its habits are; `thinking_off`: the same model without them; `another`: with those of another question.

```
agentforge chat model {show}--prompt "{prompt}"
```

Any Hugging Face program loads it as an ordinary model, which then does not think. quietstar.json holds its habits
and what was measured, quietstar_thought_examples.json thoughts at questions of the test split.
"""


def publish(context: PhaseContext, start: Start, judged: Judged) -> None:
    for one in judged.measured:
        context.measure(one)
    for example in (examples := thought_examples(start, judged)):
        context.sample("quietstar/example", example)
    if "model" not in context.published:
        with context.output("model") as directory:
            write(directory, start, judged, examples)


def thought_examples(start: Start, judged: Judged) -> list[dict[str, Any]]:
    """Some questions of each family, what was thought and said, and what each token of the right answer costs with
    thoughts and without. None where the kept model never thinks."""
    thinker, codec = judged.thinker, start.codec
    if thinker.habits.threshold is None:
        return []
    items = judged.items[:: max(1, len(judged.items) // EXAMPLES)][:EXAMPLES]
    prompts = [codec.prompt_ids(item.prefix + item.prompt) for item in items]
    rooms = [len(codec.ids(item.completion)) + ROOM for item in items]
    found, tokens = [], _token_losses(thinker, codec, items)
    every = speak(thinker, prompts, rooms, eos=codec.eos, pad=codec.pad)
    for item, spoken, of_item in zip(items, every, tokens, strict=True):
        thoughts = [
            {"after": had.after, "texts": [codec.text(ids) for ids in had.ids], "alpha": had.alpha}
            for had in spoken.thoughts
        ]
        found.append(
            {"prompt": item.prompt, "said": codec.text(spoken.ids), "right": item.answer, "thoughts": thoughts,
             "tokens": of_item}
        )  # fmt: skip
    return found


def _token_losses(thinker: Thinker, codec: Codec, items: Sequence[Item]) -> list[list[dict[str, Any]]]:
    """Of each item, nats of each token that the right answer has."""
    found = []
    without, thinking = (token_nats(thinker, codec, items, how) for how in ("off", "on"))
    for item, off, on in zip(items, without, thinking, strict=True):
        said = [token for token, learned in zip(*codec.item_ids(item), strict=True) if learned]
        rows = zip(said, off.tolist(), on.tolist(), strict=True)
        found.append(
            [
                {"text": codec.text([token]), "without": round(one, DECIMALS), "with": round(other, DECIMALS)}
                for token, one, other in rows
            ]
        )
    return found


def write(directory: Path, start: Start, judged: Judged, examples: list[dict[str, Any]]) -> None:
    """No times in it: the same run gives the same bytes."""
    thinker = judged.thinker
    thinker.model.save_pretrained(directory)
    start.codec.tokenizer.save_pretrained(directory)
    record = {
        "config": resolved(start.config),
        "selection": judged.selection,
        "test": {one.name.removeprefix("quietstar/"): one.value for one in judged.measured},
    }
    if judged.kept == THINKING or (judged.kept == INPUT and start.known is not None):
        save_thinker(directory, thinker, record)
    else:
        (directory / "training.json").write_bytes(canonical_json({"quietstar": record}))
    (directory / "quietstar_thought_examples.json").write_bytes(canonical_json(examples))
    card = _CARD.format(
        about=_ABOUT[judged.kept], habits=_habits(judged.kept, thinker), items=len(judged.items),
        table=_table(judged.measured), prompt=judged.items[0].prompt,
        show="" if thinker.habits.threshold is None else "--show-thoughts ",
    )  # fmt: skip
    (directory / "README.md").write_text(card)


def _habits(kept: str, thinker: Thinker) -> str:
    if kept != THINKING:
        return ""
    habits = thinker.habits
    if habits.threshold is None:
        return "By its habits it never thinks: on the selection split that measured best."
    sampling = habits.sampling
    return (
        f"It has {sampling.thoughts} thoughts of up to {sampling.length} tokens where the entropy of its "
        f"prediction is at least {habits.threshold:.3g} of the highest possible; each serves {habits.ahead} tokens."
    )


def _table(measured: Sequence[Measurement]) -> str:
    """Ways as rows; losses and families as columns."""
    values = {one.name.removeprefix("quietstar/"): one.value for one in measured}
    start = f"{INPUT}/accuracy/"
    families = [name.removeprefix(start) for name in values if name.startswith(start)]
    lines = [f"| | loss | hard loss | {' | '.join(families)} |", "|---" * (len(families) + 3) + "|"]
    for who in (INPUT, THOUGHTLESS, THINKING, "thinking_off", "another"):
        columns = ["loss", "hard_loss", *(f"accuracy/{family}" for family in families)]
        found = [values.get(f"{who}/{column}") for column in columns]
        cells = ["not measured" if value is None else f"{value:.3g}" for value in found]
        lines.append(f"| {who} | {' | '.join(cells)} |")
    return "\n".join(lines)
