"""Which directories from outside are taken as models. Nothing in them is run, loaded or believed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agentforge.kit.errors import InvalidInput
from agentforge_gateway.registry.facts import read_json
from agentforge_gateway.registry.safetensors import read_header

MODEL, ADAPTER = "model", "adapter"
MAX_FILES = 10_000
_PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
_ZIP_MAGIC = b"PK\x03\x04"  # torch.save writes a zip with a pickle inside
_INDEX = ".safetensors.index.json"


def check_model(source: Path) -> str:
    """The kind of what lies there, "model" or "adapter"; raises where it is neither, or not safe to take."""
    config, adapter = source / "config.json", source / "adapter_config.json"
    if not source.is_dir() or not (config.is_file() or adapter.is_file()):
        raise InvalidInput(
            f"{source.name!r} is no model's directory: it holds neither config.json nor adapter_config.json",
            reason="NOT_A_MODEL",
            field="path",
            next_step="Give a directory as Hugging Face's save_pretrained writes it, or a tar of one.",
        )
    files = list(_files(source))
    for file in files:
        _check_file(source, file)
    if not any(file.suffix == ".safetensors" for file in files):
        raise InvalidInput(
            f"{source.name!r} holds no weights as safetensors",
            reason="NO_SAFETENSORS",
            field="path",
            next_step="Save the model again with save_pretrained(..., safe_serialization=True).",
        )
    for file in files:
        if file.name.endswith(_INDEX):
            _check_index(file)
    read_json(config)
    read_json(adapter)
    return ADAPTER if adapter.is_file() and not config.is_file() else MODEL


def _files(source: Path) -> Iterator[Path]:
    count = 0
    for directory, folders, names in os.walk(source):
        for folder in folders:
            if Path(directory, folder).is_symlink():
                raise _link(source, Path(directory, folder))
        for name in names:
            count += 1
            if count > MAX_FILES:
                raise InvalidInput(
                    f"{source.name!r} holds more than {MAX_FILES:,} files",
                    reason="IMPORT_TOO_LARGE",
                    field="path",
                    next_step="Give the directory of one model.",
                )
            yield Path(directory, name)


def _check_file(source: Path, file: Path) -> None:
    if file.is_symlink() and not _stays(source, file):
        raise _link(source, file)
    if not file.exists() or not stat.S_ISREG(file.stat().st_mode):
        shown = file.relative_to(source).as_posix()
        message, step = f"{shown} is no regular file", "Leave it out."
        raise InvalidInput(message, reason="NOT_A_REGULAR_FILE", field=shown, next_step=step)
    if file.suffix == ".safetensors":
        read_header(file)
    elif file.suffix.lower() in _PICKLES or _looks_pickled(file):
        shown = file.relative_to(source).as_posix()
        raise InvalidInput(
            f"{shown} is a pickle, or looks like one: reading it would run code of whoever wrote it",
            reason="PICKLE_REFUSED",
            field=shown,
            next_step="Save the model again as safetensors, and leave this file out.",
        )


def _looks_pickled(file: Path) -> bool:
    """By its first bytes, whatever its name: a pickle of protocol 2 to 5, or a zip as torch.save writes it."""
    with file.open("rb") as data:
        first = data.read(4)
    return first == _ZIP_MAGIC or (len(first) > 1 and first[0] == 0x80 and 2 <= first[1] <= 5)


def _stays(source: Path, link: Path) -> bool:
    """Within the directory; or, as in a Hugging Face cache, from snapshots/<revision>/ into blobs/ beside it."""
    target, root = link.resolve(), source.resolve()
    if target.is_relative_to(root):
        return True
    return root.parent.name == "snapshots" and target.parent == root.parent.parent / "blobs"


def _check_index(index: Path) -> None:
    weights = (read_json(index) or {}).get("weight_map")
    names = set(weights.values()) if isinstance(weights, dict) and all(map(_is_text, weights.values())) else {None}
    for name in sorted(names, key=str):
        if name is None or "/" in name or not (index.parent / name).is_file():
            raise InvalidInput(
                f"{index.name} names {str(name)[:200]!r}, which is not beside it",
                reason="BAD_SAFETENSORS",
                field=index.name,
                next_step="Bring all files of the model.",
            )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _link(source: Path, link: Path) -> InvalidInput:
    shown = link.relative_to(source).as_posix()
    return InvalidInput(
        f"{shown} is a symbolic link that leads out of {source.name!r}",
        reason="SYMLINK",
        field=shown,
        next_step="Copy the file itself into the directory.",
    )
