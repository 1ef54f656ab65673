"""agent.pyz of a directory with model.forge, config.json and tokenizer.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from agentforge.codecs.container import FILE, Forge, parse
from agentforge.codecs.payload import Broken
from agentforge.edge.device.solo.agent import Agent
from agentforge.edge.device.solo.archive import ABOUT
from agentforge.edge.solo.golden import record
from agentforge.edge.solo.models import check_model
from agentforge.edge.solo.pack import ROOT, pack
from agentforge.edge.solo.tokenizer import end_token, read_tokenizer
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import DataLoss, InvalidInput, NotFound
from agentforge.kit.files import write_atomic
from agentforge.kit.recorded import version

_CODECS = ("__init__", "payload", "packing", "entropy", "container")
_RUNTIME = (
    "__init__",
    "backend",
    "contract",
    "errors",
    "generate",
    "golden",
    "memory",
    "sampling",
    "state",
    "text",
)
_FOLDERS = {"codecs": _CODECS, "codecs/decode": None, "edge/device/runtime": _RUNTIME, "edge/device/solo": None}


def build(directory: Path, target: Path, *, golden: Sequence[tuple[str, str]] = ()) -> Path:
    """`golden`: prompts, and what the model answered elsewhere (greedily, to its end or to some length). They are
    asked again here, and the file is not made where an answer differs."""
    data, config = _read(directory / FILE), _config(directory)
    check_model(config)
    tokenizer = read_tokenizer(directory)
    eos = end_token(directory, tokenizer, config)
    forge, agent = _loaded(directory, data, config, tokenizer, eos)
    _check_fits(agent, directory)
    files = {
        FILE: data, "config.json": canonical_json(config), "tokenizer.json": canonical_json(tokenizer),
        "golden.json": canonical_json(record(agent, golden)),
    }  # fmt: skip
    code = program()
    shown = _shown(forge, agent, config, len(golden))
    digests = {f"{ROOT}/{path}": hashlib.sha256(each).hexdigest() for path, each in code.items()}
    digests |= {name: hashlib.sha256(each).hexdigest() for name, each in files.items()}
    files[ABOUT] = canonical_json({"format": 1, "eos": eos, "shown": shown, "files": digests})
    write_atomic(target, pack(code, files, stored=FILE))
    target.chmod(0o755)
    return target


def program() -> dict[str, bytes]:
    """What runs on the device, by its place below agentforge, on which its relative imports rest."""
    top = resources.files("agentforge")
    found = {f"{place}__init__.py": b"" for place in ("", "edge/", "edge/device/")}
    for folder, names in _FOLDERS.items():
        for each in top.joinpath(folder).iterdir():
            stem, _, kind = each.name.rpartition(".")
            if kind == "py" and (names is None or stem in names):
                found[f"{folder}/{each.name}"] = each.read_bytes()
    return found


def _read(file: Path) -> bytes:
    if not file.is_file():
        message = f"there is no {file.name} in {file.parent}"
        raise NotFound(message, reason="MODEL_NOT_FOUND", field=str(file), next_step="Compress the model first.")
    return file.read_bytes()


def _config(directory: Path) -> dict[str, Any]:
    file = directory / "config.json"
    try:
        found: dict[str, Any] = json.loads(_read(file))
        return found
    except ValueError as error:
        raise DataLoss(f"{file} is no JSON: {error}", reason="BROKEN_FILE", field=str(file)) from error


def _loaded(
    directory: Path, data: bytes, config: dict[str, Any], tokenizer: dict[str, Any], eos: int
) -> tuple[Forge, Agent]:
    file = directory / FILE
    try:
        forge = parse(data)
        agent = Agent(forge.payloads, config, tokenizer, eos)
    except Broken as error:
        step = "Compress the model once more."
        raise DataLoss(f"{file}: {error}", reason="BROKEN_FILE", field=str(file), next_step=step) from error
    if agent.unused:
        message = f"{file} has tensors that agent.pyz would leave out: {', '.join(agent.unused[:5])}"
        step = "Bake adapters and thoughts into the weights, or leave them out of the model."
        raise InvalidInput(message, reason="MODEL_NOT_KNOWN", field=agent.unused[0], next_step=step)
    return forge, agent


def _check_fits(agent: Agent, directory: Path) -> None:
    if agent.text.end > agent.engine.graph.vocabulary:
        message = (
            f"the tokenizer has ids up to {agent.text.end - 1}, the model {agent.engine.graph.vocabulary} tokens"
        )
        step = "Use the tokenizer that was saved with the model."
        raise InvalidInput(message, reason="TOKENIZER_MISMATCH", field=str(directory), next_step=step)


def _shown(forge: Forge, agent: Agent, config: dict[str, Any], golden: int) -> dict[str, Any]:
    parameters = 0
    codecs: dict[str, int] = {}
    for payload in forge.payloads.values():
        size = 1
        for each in payload.shape:
            size *= each
        parameters += size
        codecs[payload.codec] = codecs.get(payload.codec, 0) + size
    graph = agent.engine.graph
    return {
        "model": config["model_type"], "parameters": parameters, "weights_by_codec": codecs,
        "model_bytes": forge.file, "float32_bytes": 4 * parameters, "vocabulary": graph.vocabulary,
        "context": graph.context or "no limit", "window": graph.window or "all", "golden_prompts": golden,
        "made_by": f"agentforge {version()}",
    }  # fmt: skip
