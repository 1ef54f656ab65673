"""What stands beside the weights: a card for people, a record for programs. Measured numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.config import resolved
from agentforge.kit.digests import canonical_json
from agentforge.kit.measure import Measurement
from agentforge.models import TitanForCausalLM
from agentforge.phase1_cognate.config import CognateConfig, StageConfig
from agentforge.phase1_cognate.corpus import Corpus
from agentforge.train.stages import Curve

_CARD = """\
---
library_name: transformers
tags: [agentforge, titan, {name}]
---
# {name}

{about}

| measured | value | unit | n | how |
|---|---|---|---|---|
{rows}

{parameters:,} parameters. Tokenizer {tokenizer}. Text: {corpus}; bits per byte of held-out documents of it.
Answers are greedy, to items of the test split, which no training, selection or search has seen.

```
agentforge chat {name} --prompt "{prompt}"
```

```python
from agentforge.models import TitanForCausalLM  # without Agent Forge: AutoModelForCausalLM, trust_remote_code=True
model = TitanForCausalLM.from_pretrained("{name}")
```

training.json holds the settings and the loss over all steps.
"""


def write_model(
    directory: Path,
    name: str,
    model: TitanForCausalLM,
    corpus: Corpus,
    measured: Sequence[Measurement],
    record: dict[str, Any],
    about: str,
    prompt: str,
) -> None:
    """A directory that Hugging Face loads, with tokenizer, card and training record."""
    model.save_pretrained(directory)
    corpus.codec.tokenizer.save_pretrained(directory)
    card = _CARD.format(
        name=name,
        about=about,
        rows="\n".join(_row(one) for one in measured),
        parameters=model.num_parameters(),
        tokenizer=corpus.codec.digest[:12],
        corpus=corpus.source.name,
        prompt=prompt,
    )
    (directory / "README.md").write_text(card)
    (directory / "training.json").write_bytes(canonical_json(record))


def training_record(
    config: CognateConfig, corpus: Corpus, stage: StageConfig, seed: int, curves: dict[str, Curve]
) -> dict[str, Any]:
    """Everything that made these weights, and how the loss went. No times: the same run gives the same bytes."""
    return {
        "stage": resolved(stage),
        "seed": seed,
        "model": resolved(config.model),
        "data": resolved(config.data),
        "tokenizer": corpus.codec.digest,
        "curves": curves,
    }


def _row(one: Measurement) -> str:
    spread = "" if one.spread is None else f" ± {one.spread:.3g}"
    return f"| {one.name} | {one.value:.4g}{spread} | {one.unit} | {one.n} | {one.method} |"
