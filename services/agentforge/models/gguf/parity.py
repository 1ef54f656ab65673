"""What llama.cpp makes of a file, beside torch: token ids of texts, and the logits of every position."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.data.codec import Codec
from agentforge.kit.errors import DataLoss, InvalidInput
from agentforge.models.gguf.floats import floats_of, opened
from agentforge.models.gguf.llama import Llama
from agentforge.models.gguf.reference import ROUNDING, as_computed, as_they_are
from agentforge.models.gguf.tensors import Types, Weight, file_names, weights
from agentforge.models.gguf.verdict import Difference, Parity

# Spaces, digits, contractions, scripts and lines: where rules for splitting differ.
SAMPLES = (
    "Q: 12 + 345 = A: 357", "  two  spaces,   three\tand a tab \n\n and lines\r\n ",
    "I'm sure they'll say 'it's 50% off'",
    "naïve café — “quotes” … № Ⅳ ½ ² ١٢٣", "Привет, мир! 你好世界 こんにちは 안녕 שלום",
    "🙂🚀👩‍👩‍👧 e\u0301 \u200b\u00a0x",
    "def f(x):\n    return x**2  # done", "1 22 333 4444\n5,5.5 a1b2  34   5", " ", "\n", "x",
)  # fmt: skip


def check_parity(file: Path, model: Any, codec: Codec, prompts: Sequence[str]) -> Parity:
    """`model`: the one that the file was written of. This measures; `verdict.require` refuses."""
    ids = [codec.prompt_ids(prompt) for prompt in prompts]
    if not any(ids):
        raise InvalidInput("there is no token to compare logits at", reason="EMPTY_PROMPTS", field="prompts")
    stored = weights_in(file, model)
    texts = [*prompts, *SAMPLES, *_specials(codec)]
    with closing(Llama(file, max(map(len, ids)))) as llama:
        equal = sum(llama.ids(text) == codec.prompt_ids(text) for text in texts)
        run_NV = torch.cat([llama.logits(each) for each in ids])
    floats_NV = _logits(as_computed(model, stored, dict.fromkeys(ROUNDING, as_they_are)), ids)
    return Parity(
        len(texts), equal, len(run_NV),
        content=difference(_in_floats(file, ids), floats_NV),
        arithmetic=difference(run_NV, _logits(as_computed(model, stored), ids)),
        model=difference(run_NV, _logits(model, ids)),
        floats=difference(run_NV, floats_NV),
    )  # fmt: skip


def difference(theirs_NV: Tensor, others_NV: Tensor) -> Difference:
    off = (theirs_NV.double() - others_NV.double()).abs()
    size = others_NV.double().std(correction=0).clamp_min(1e-300)
    theirs, others = (F.log_softmax(each.double(), -1) for each in (theirs_NV, others_NV))
    return Difference(
        largest=float(off.max()),
        mean=float(off.mean()),
        relative=float(off.square().mean().sqrt() / size),
        kl=float(F.kl_div(theirs, others, log_target=True, reduction="batchmean")),
        agreement=float((theirs_NV.argmax(-1) == others_NV.argmax(-1)).double().mean()),
    )


def weights_in(file: Path, model: Any) -> list[Weight]:
    """The model's own weights, of the types that the file says it has them in."""
    kinds = {each.name: each.tensor_type.name for each in opened(file).tensors}
    named = file_names(model.config.num_hidden_layers)
    try:
        return [replace(each, kind=kinds[named(each.name)]) for each in weights(model, Types())]
    except KeyError as error:
        message = f"{file} has no tensor {error}, as this model wants it"
        raise DataLoss(message, reason="WEIGHTS_INCOMPLETE", field=str(error)) from error


def _in_floats(file: Path, ids: Sequence[list[int]]) -> Tensor:
    with tempfile.TemporaryDirectory() as place:
        twin = floats_of(file, Path(place) / "floats.gguf")
        with closing(Llama(twin, max(map(len, ids)))) as llama:
            return torch.cat([llama.logits(each) for each in ids])


@torch.no_grad()
def _logits(model: Any, ids: Sequence[list[int]]) -> Tensor:
    """[positions, vocabulary]; of each text alone, so that no padding is among it."""
    rows = (torch.tensor([each], device=model.device) for each in ids if each)
    return torch.cat([model(input_ids=row, use_cache=False).logits[0].cpu() for row in rows])


def _specials(codec: Codec) -> list[str]:
    tokens = list(codec.tokenizer.get_added_vocab())
    return [f"a {token}b\n{token} 1" for token in tokens] + ["".join(tokens)]
