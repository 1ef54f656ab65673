"""What lies beside merged weights: config, tokenizer and code of the first model, a record, a card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentforge.kit.files import disk_errors
from agentforge.phase2_evomerge.streaming.shards import ModelFiles

_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
    "chat_template.jinja", "chat_template.json", "generation_config.json",
)  # fmt: skip

RECORD = "merge.json"


def copy_companions(first: ModelFiles, directory: Path, dtype: str) -> None:
    """As the first model has them; config.json with the dtype of the merged weights, without where it came from."""
    config = {key: value for key, value in first.config.items() if key != "_name_or_path"}
    for name in ("torch_dtype", "dtype"):  # the first is what transformers 4 reads; written where it was
        if name in config or name == "dtype":
            config[name] = dtype
    code = sorted(each.name for each in first.directory.glob("*.py")) if "auto_map" in first.config else []
    with disk_errors(directory):
        (directory / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        for name in (*_TOKENIZER, *code):
            if (first.directory / name).is_file():
                shutil.copyfile(first.directory / name, directory / name)


def write_record(directory: Path, record: Mapping[str, Any]) -> None:
    with disk_errors(directory):
        (directory / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
        (directory / "README.md").write_text(_card(record))


def described(model: ModelFiles, digests: Mapping[Path, str]) -> dict[str, Any]:
    """By name and digests; a path would tell of one machine only."""
    return {"name": model.name, "files": {file.name: digests[file] for file in model.files}}


def _card(record: Mapping[str, Any]) -> str:
    models: Sequence[Mapping[str, Any]] = record["models"]
    lines = [
        "---", "library_name: transformers", "tags:", "- merge", "- agentforge", "---", "",
        f"# Merged by {record['method']}", "",
        f"Made from {', '.join(model['name'] for model in models)} by `agentforge merge`, in {record['dtype']}.",
        "Nothing has been measured of it; `agentforge eval` does that.", "",
    ]  # fmt: skip
    if record["base"] is not None:
        lines += [f"Base: {record['base']['name']}.", ""]
    lines += ["| option | value |", "|---|---|"]
    lines += [f"| {name} | {json.dumps(value)} |" for name, value in record["options"].items()]
    lines += [f"| seed | {record['seed']} |", "", f"Digests of the merged files are in {RECORD}."]
    return "\n".join(lines) + "\n"
