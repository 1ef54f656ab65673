"""What a thinker has beyond its model, on disk: two files beside the model's own, which its writer writes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from agentforge.kit.config import StrictModel, validate_config
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import DataLoss, InvalidInput
from agentforge.kit.files import write_atomic
from agentforge.kit.plainjson import to_plain_json
from agentforge.models.thoughts.mixing import MixingHead
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.models.thoughts.tokens import Marks, find_marks

HABITS, HEAD = "quietstar.json", "mixing_head.safetensors"


class _Saved(StrictModel):
    habits: Habits
    marks: Marks
    record: dict[str, JsonValue]  # of whoever made it; not read here


def save_thinker(directory: Path, thinker: Thinker, record: dict[str, Any]) -> None:
    """The same thinker gives the same bytes. quietstar.json comes last: with it, all is there."""
    habits, marks = asdict(thinker.habits), asdict(thinker.marks)
    described = canonical_json(to_plain_json({"habits": habits, "marks": marks, "record": record}))
    state = sorted(thinker.head.state_dict().items())
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state}
    write_atomic(directory / HEAD, save(tensors, {"format": "pt"}))
    write_atomic(directory / HABITS, described)


def load_thinker(directory: Path, model: Any, tokenizer: Any) -> Thinker | None:
    """None where the model in the directory is one that does not think."""
    path = directory / HABITS
    if not path.is_file():
        return None
    saved = _saved(path)
    if saved.marks != find_marks(tokenizer):
        message = f"{path}: the marks {asdict(saved.marks)} are not the tokenizer's {asdict(find_marks(tokenizer))}"
        raise DataLoss(message, reason="TOKENIZER_MISMATCH", field="marks", next_step="Take the model's own files.")
    thinker = Thinker(model, saved.marks, saved.habits, _head(directory / HEAD, model))
    return thinker.eval()


def _saved(path: Path) -> _Saved:
    try:
        described = json.loads(path.read_bytes())
    except ValueError as error:
        raise _broken(path, f"is not JSON: {error}") from error
    if not isinstance(described, dict):
        raise _broken(path, "holds no JSON object")
    try:
        saved = validate_config(_Saved, described)
    except InvalidInput as error:
        message, step = f"{path}: {error.message}", error.next_step
        raise InvalidInput(message, reason=error.reason, field=error.field, next_step=step) from error
    if asdict(saved.habits) != described["habits"]:  # no habit is guessed, though its field has a default
        missing = ", ".join(sorted(_names(asdict(saved.habits)) - _names(described["habits"])))
        raise InvalidInput(f"{path}: habits lacks {missing}", reason="MISSING_FIELD", field="habits")
    return saved


def _names(habits: dict[str, Any]) -> set[str]:
    return {*habits, *(f"sampling.{name}" for name in habits["sampling"])}


def _head(path: Path, model: Any) -> MixingHead:
    head = MixingHead(model.get_input_embeddings().weight.shape[1])
    try:
        tensors = load(path.read_bytes())
    except FileNotFoundError:
        raise _broken(path, "is missing") from None
    except SafetensorError as error:
        raise _broken(path, f"cannot be read: {error}") from error
    wanted = head.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        wrong = _wrong(wanted.get(name), tensors.get(name))
        if wrong:
            raise DataLoss(f"{path}: {name} {wrong}", reason="WRONG_TENSOR", field=name)
    head.load_state_dict(tensors)
    return head.to(model.dtype)


def _wrong(wanted: Tensor | None, found: Tensor | None) -> str:
    if wanted is None:
        return "is no tensor of a mixing head"
    if found is None:
        return "is missing"
    if wanted.shape != found.shape:
        return f"has the shape {list(found.shape)}; this model needs {list(wanted.shape)}"
    if not found.is_floating_point() or not bool(found.isfinite().all()):
        return "is not finite numbers"
    return ""


def _broken(path: Path, why: str) -> DataLoss:
    return DataLoss(f"{path} {why}", reason="BROKEN_FILE", field=str(path))
