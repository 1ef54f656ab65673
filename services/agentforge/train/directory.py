"""What lies in a model's directory, told from the files alone: before a weight is read, and without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from agentforge.codecs.container import FILE as FORGE
from agentforge.data.tokenizer import check_tokenizer, read_backend
from agentforge.kit.errors import DataLoss, InvalidInput, NotFound
from agentforge.models.fields_titan import MODEL_TYPE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ADAPTER = "adapter"  # a PEFT directory inside the model's
TERNARY, PACKED = "ternary.json", "packed.safetensors"  # as models/ternary names them, which needs torch


def model_directory(path: Path) -> Path:
    """The directory that holds config.json: the one given, or the only one inside it (or inside its output/)."""
    if not path.is_dir():
        message = f"there is no directory {path}"
        step = "Give a model's directory, such as $AGENTFORGE_HOME/runs/RUN_ID/cognate/output/reasoning."
        raise NotFound(message, reason="MODEL_NOT_FOUND", field=str(path), next_step=step)
    if (path / "config.json").is_file():
        return path
    inner = sorted({each.parent for pattern in ("*", "output/*") for each in path.glob(f"{pattern}/config.json")})
    if len(inner) == 1:
        return inner[0]
    step = f"Give one of {', '.join(map(str, inner))}." if inner else "Give a model's directory."
    message = f"{path} holds no config.json, so it is no model"
    raise InvalidInput(message, reason="NOT_A_MODEL", field=str(path), next_step=step)


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataLoss(f"{path} is not JSON: {error}", reason="BROKEN_FILE", field=str(path)) from error
    if not isinstance(value, dict):
        raise DataLoss(f"{path} holds no JSON object", reason="BROKEN_FILE", field=str(path))
    return value


def check_kind(described: dict[str, Any]) -> None:
    """Which names transformers knows, only torch can tell; that there is none, anyone."""
    if not isinstance(described.get("model_type"), str):
        raise InvalidInput("config.json names no model_type", reason="UNKNOWN_MODEL_TYPE", field="model_type")


def text_part(described: dict[str, Any]) -> dict[str, Any]:
    """What config.json says of text, in models that have other parts."""
    inner = described.get("text_config")
    return inner if isinstance(inner, dict) else described


def positions(described: dict[str, Any]) -> int | None:
    """Tokens that a text may have; None where there is no such limit, as for a Titan, or it is not said."""
    if described.get("model_type") == MODEL_TYPE:
        return None
    text = text_part(described)
    found = text.get("max_position_embeddings", text.get("n_positions"))  # as GPT-2 calls it
    return found if isinstance(found, int) and found > 0 else None


def refuse_code(path: Path, described: dict[str, Any]) -> None:
    if "auto_map" in described:
        message = f"{path} wants code of its own to be run"
        step = "Read that code; if you trust it, give --trust-remote-code."
        raise InvalidInput(message, reason="REMOTE_CODE_REFUSED", field="auto_map", next_step=step)


def is_packed(directory: Path) -> bool:
    """Its weights are packed. Where plain ones lie beside them, every program reads those, and so does this one."""
    return (directory / PACKED).is_file() and not any(directory.glob("model*.safetensors*"))


def is_compressed(directory: Path) -> bool:
    """Its weights are in one file that codecs have written, and not plain ones beside it, nor packed ones."""
    return (
        (directory / FORGE).is_file()
        and not is_packed(directory)
        and not any(directory.glob("model*.safetensors*"))
    )


def check_no_adapter(directory: Path) -> None:
    """For phases that would train, merge or round the base alone."""
    if (directory / ADAPTER / "adapter_config.json").is_file():
        message = f"{directory} is a model with an adapter beside it: its weights alone are another model"
        step = "Merge it first: phase baking with cycles.most 0, if the model is not ternary."
        raise InvalidInput(message, reason="HAS_ADAPTER", field=str(directory / ADAPTER), next_step=step)


def check_weights(directory: Path) -> None:
    """There are weights that can be trained or merged."""
    if is_packed(directory):
        message = f"{directory} is packed: it holds codes, and not the latents that they were made from"
        step = "Take the model from before phase bitnet; chat and eval take this one."
        raise InvalidInput(message, reason="PACKED_MODEL", field=str(directory / PACKED), next_step=step)
    if is_compressed(directory):
        message = f"{directory} is compressed: its weights are rounded, and no longer those that were trained"
        step = "Take the model that phase compression was given; chat and eval take this one."
        raise InvalidInput(message, reason="COMPRESSED_MODEL", field=str(directory / FORGE), next_step=step)
    if any(directory.glob("*.safetensors")):
        return
    pickled = min((each for each in directory.iterdir() if each.suffix in (".bin", ".pt", ".pth")), default=None)
    if pickled is None:
        message = f"{directory} holds no weights (model.safetensors)"
        raise InvalidInput(message, reason="NO_WEIGHTS", field=str(directory))
    message = f"{pickled} is a pickle, which could run code; only safetensors are loaded"
    step = "Save the model once more: save_pretrained writes safetensors."
    raise InvalidInput(message, reason="PICKLE_REFUSED", field=str(pickled), next_step=step)


def check_trained_with(directory: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Our models record the digest of their tokenizer: one of equal size could still be another."""
    record = directory / "training.json"
    digest = read_json(record).get("tokenizer") if record.is_file() else None
    if isinstance(digest, str):
        check_tokenizer(tokenizer, digest, str(directory))


def check_not_ternary(directory: Path) -> None:
    """For phases that would train or merge the latents as if they were the weights."""
    if (directory / TERNARY).is_file():
        message = f"{directory} is ternary: its tensors are latents, which are not what the model computes with"
        step = "Take the model from before phase bitnet."
        raise InvalidInput(message, reason="TERNARY_MODEL", field=str(directory / TERNARY), next_step=step)


def check_positions(length: int, described: dict[str, Any]) -> None:
    """Rows of a training fit into the model."""
    context = positions(described)
    if context is not None and length > context:
        message = f"rows of {length:,} tokens are longer than the {context:,} positions of the model"
        raise InvalidInput(message, reason="SEQUENCE_TOO_LONG", field="data.length", next_step="Take shorter rows.")


def check_own_tokenizer(directory: Path) -> None:
    """It is there, whole, and needs no code of its own."""
    settings = directory / "tokenizer_config.json"
    if settings.is_file():
        refuse_code(settings, read_json(settings))
    read_backend(directory)


def tensor_shapes(directory: Path) -> dict[str, list[int]]:
    """Of all weights, by name, from the files' headers: which tells that the files are whole, too."""
    found: dict[str, list[int]] = {}
    for file in sorted(directory.glob("*.safetensors")):
        try:
            with safe_open(file, framework="np") as opened:
                found |= {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise DataLoss(f"{file} cannot be read: {error}", reason="BROKEN_FILE", field=str(file)) from error
    return found
