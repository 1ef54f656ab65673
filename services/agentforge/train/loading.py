"""Any causal language model from a directory, with its tokenizer: checked before use, no code and no pickle run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from agentforge.codecs.model import load_compressed
from agentforge.data.tokenizer import check_fits, load_tokenizer
from agentforge.kit.errors import DataLoss, InvalidInput
from agentforge.models import TitanConfig  # registers our classes with the Auto classes
from agentforge.models.ternary import record
from agentforge.models.ternary.unpacking import load_packed
from agentforge.train.adapters import has_adapter, put_beside
from agentforge.train.directory import (
    check_no_adapter,
    check_trained_with,
    check_weights,
    is_compressed,
    is_packed,
    model_directory,
    read_json,
    refuse_code,
)
from agentforge.train.machine import device

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class LoadedModel:
    """`context`: how many tokens it can see, None where there is no limit. What `slides` may go on beyond it."""

    directory: Path
    model: Any
    tokenizer: PreTrainedTokenizerFast
    context: int | None
    slides: bool


def load_model(path: Path, *, trust_remote_code: bool = False) -> LoadedModel:
    """Everything that can be told from the files is told before the weights are read. Ternary stays ternary."""
    directory = model_directory(path)
    described = read_json(directory / "config.json")
    config = _config(directory, described, trust_remote_code)
    tokenizer = _tokenizer(directory, trust_remote_code)
    check_fits(tokenizer, config.get_text_config().vocab_size)
    check_trained_with(directory, tokenizer)
    if is_packed(directory):
        model = _packed(directory, load_packed)
    elif is_compressed(directory):
        check_no_adapter(directory)
        model = _packed(directory, load_compressed)
    else:
        model = _plain(directory, config, trust_remote_code)
    model.to(device()).eval()
    # What the directory says about sampling is put aside, so that greedy is greedy for every model.
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)  # type: ignore[no-untyped-call]
    return LoadedModel(directory, model, tokenizer, *_context(config))


def _config(directory: Path, described: dict[str, Any], trust: bool) -> Any:
    kind = described.get("model_type")
    known = isinstance(kind, str) and kind in CONFIG_MAPPING
    if not known and not trust:
        refuse_code(directory / "config.json", described)
    if not known and "auto_map" not in described:
        message = f"{directory}: the model type {kind!r} is not known to transformers"
        raise InvalidInput(message, reason="UNKNOWN_MODEL_TYPE", field="model_type")
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=trust and not known)
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInput(f"{directory}: {error}", reason="BAD_MODEL", field="config.json") from error
    if known and type(config) not in AutoModelForCausalLM._model_mapping:
        message = f"{directory}: a {kind} is no causal language model"
        step = "Give a model that continues text."
        raise InvalidInput(message, reason="WRONG_MODEL_TYPE", field="model_type", next_step=step)
    return config


def _tokenizer(directory: Path, trust: bool) -> PreTrainedTokenizerFast:
    settings = directory / "tokenizer_config.json"
    described = read_json(settings) if settings.is_file() else {}
    if trust and "auto_map" in described:
        loaded: Any = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=True)
        return cast("PreTrainedTokenizerFast", loaded)
    refuse_code(settings, described)
    try:
        return load_tokenizer(directory)
    except InvalidInput:
        raise
    except Exception as error:  # the Rust tokenizer raises a bare Exception at a damaged file
        message = f"{directory}: the tokenizer cannot be read: {error}"
        raise DataLoss(message, reason="BROKEN_FILE", field="tokenizer.json") from error


def _packed(directory: Path, load: Callable[[Path], Any]) -> Any:
    try:
        return load(directory)
    except (OSError, RuntimeError, ValueError, AttributeError) as error:  # a config.json of another model
        message = f"{directory}: the packed weights do not fit the model in config.json: {error}"
        raise DataLoss(message, reason="BROKEN_FILE", field=str(directory)) from error


def _plain(directory: Path, config: Any, trust: bool) -> Any:
    check_weights(directory)
    model = _weights(directory, config, trust)
    if (directory / record.FILE).is_file():
        record.restore(directory, model)
    if has_adapter(directory):
        put_beside(directory, model)
    return model


def _weights(directory: Path, config: Any, trust: bool) -> Any:
    loader: Any = AutoModelForCausalLM
    try:
        model, found = loader.from_pretrained(
            directory, config=config, local_files_only=True, use_safetensors=True, trust_remote_code=trust,
            output_loading_info=True,
        )  # fmt: skip
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        message = f"{directory}: the weights cannot be read: {error}"
        raise DataLoss(message, reason="BROKEN_FILE", field=str(directory)) from error
    if found["missing_keys"]:  # transformers would fill them with random numbers
        message = f"{directory}: {len(found['missing_keys'])} tensors are missing: {min(found['missing_keys'])}, …"
        raise DataLoss(message, reason="WEIGHTS_INCOMPLETE", field=min(found["missing_keys"]))
    broken = next((name for name, tensor in model.named_parameters() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise DataLoss(f"{directory}: {broken} is not finite", reason="NOT_FINITE", field=broken)
    return model


def _context(config: Any) -> tuple[int | None, bool]:
    if config.model_type == TitanConfig.model_type:  # with a memory it sees everything; without, a sliding window
        return (None if config.memory else config.sliding_window), True
    length = getattr(config.get_text_config(), "max_position_embeddings", None)
    return (length if isinstance(length, int) and length > 0 else None), False
