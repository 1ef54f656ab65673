"""What a package consists of, and where. A phase fills a directory; this says what is missing or foreign in it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from agentforge.kit.errors import InvalidInput, Violation
from agentforge.kit.paths import check_name

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
UNLISTED = frozenset({MANIFEST, SIGNATURE})
"""Files that the manifest cannot list: itself, and what is made from it."""


def made_on_device(path: str) -> bool:
    """build_engine.sh and verify.py write these beside the package's files; no package brings them."""
    return path == "verification.json" or path.startswith("engines/")


REQUIRED = (
    "README.md", "build_engine.sh", "verify.py", "serve.py", "requirements.txt", "edge.proto", "edge.protoset",
    "models/graph.json", "models/model.onnx", "models/profiles.json", "models/fp32_layers.txt",
    "models/cpu_fp32.onnx", "tokenizer/tokenizer.json", "golden/golden.json", "systemd/agentforge-edge.service",
)  # fmt: skip
_TOGETHER = ("models/model_int8_qdq.onnx", "calibration/calibration.cache", "calibration/provenance.json")
_OPTIONAL = frozenset({*_TOGETHER, "models/cpu_int8.onnx", "models/cpu_4bit.onnx"})
_FOLDERS = (
    re.compile(r"runtime/([^/]+/)*[^/]+\.py"),
    re.compile(r"tokenizer/[^/]+\.(json|txt)"),
    re.compile(r"triton/([^/]+/)+[^/]+\.(pbtxt|md|py|txt)"),
)
_EXECUTABLE = (".sh", "verify.py", "serve.py")
_TOP = "agentforge-"
_LONGEST = 90  # with the top folder's name it fits into a tar header of 1988 (100 and 155 characters)


def top_folder(name: str) -> str:
    check_name(name, "name")
    return f"{_TOP}{name}"


def package_name(top: str) -> str | None:
    """The inverse: None where this is no package's top folder."""
    try:
        return top[len(_TOP) :] if top == top_folder(top.removeprefix(_TOP)) else None
    except InvalidInput:
        return None


def mode_of(path: str) -> int:
    """Of a file in the archive, whatever mode it has in the directory."""
    return 0o755 if "/" not in path and path.endswith(_EXECUTABLE) else 0o644


def staged_files(staged: Path) -> list[str]:
    """Every file below, sorted, as relative paths; the manifest and its signature are not among them."""
    if staged.is_symlink() or not staged.is_dir():
        raise InvalidInput(f"{staged} is no directory", reason="NOT_A_DIRECTORY", field=str(staged))
    found = sorted(_walk(staged))
    irregular = [path for path in found if not stat.S_ISREG((staged / path).lstat().st_mode)]
    if irregular:
        raise InvalidInput.of([_wrong(path, "is no regular file") for path in irregular])
    return [path for path in found if path not in UNLISTED]


def check_layout(paths: Iterable[str]) -> None:
    """One error for all that is missing, foreign or ill-named."""
    if violations := list(_violations(sorted(paths))):
        raise InvalidInput.of(violations)


def check_path(path: str) -> None:
    """Raise unless it is safe as a relative path on every file system."""
    if len(path) > _LONGEST:
        message = f"{path[:40]}… has {len(path):,} characters, {_LONGEST} are the most"
        raise InvalidInput(message, reason="INVALID_PATH", field=path[:40])
    for part in path.split("/"):
        check_name(part, f"path {path!r}: part")


def _walk(staged: Path) -> Iterator[str]:
    for directory, folders, files in os.walk(staged):
        here = Path(directory)
        for name in (*files, *(folder for folder in folders if (here / folder).is_symlink())):
            yield (here / name).relative_to(staged).as_posix()


def _violations(paths: list[str]) -> Iterator[Violation]:
    given = frozenset(paths)
    for path in REQUIRED:
        if path not in given:
            yield _wrong(path, "is missing")
    together = [path for path in _TOGETHER if path in given]
    if together and len(together) < len(_TOGETHER):
        for path in set(_TOGETHER) - given:
            yield _wrong(path, f"is missing, and {together[0]} is of no use without it")
    if not any(path.startswith("runtime/") for path in paths):
        yield _wrong("runtime/", "is empty or missing")
    yield from _foreign(paths)


def _foreign(paths: list[str]) -> Iterator[Violation]:
    seen: dict[str, str] = {}
    for path in paths:
        try:
            check_path(path)
        except InvalidInput as error:
            yield from error.at(path)
            continue
        if not _known(path):
            step = "Engines are built on the device." if path.startswith("engines/") else "Take it away."
            yield _wrong(path, "is no part of a package", step)
        if (other := seen.setdefault(path.lower(), path)) != path:
            yield _wrong(path, f"differs from {other} by upper and lower case only")
        if above := {str(folder) for folder in PurePosixPath(path).parents} & set(paths):
            yield _wrong(path, f"lies in {above.pop()}, which is a file")


def _known(path: str) -> bool:
    return path in REQUIRED or path in _OPTIONAL or any(folder.fullmatch(path) for folder in _FOLDERS)


def _wrong(path: str, what: str, next_step: str = "") -> Violation:
    return Violation(path, f"{path} {what}", "PACKAGE_LAYOUT", next_step)
