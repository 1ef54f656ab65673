"""Where things are on the volume, and which names and paths from outside are taken."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from agentforge.kit.errors import InvalidInput

HOME_VARIABLE = "AGENTFORGE_HOME"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
_LONGEST_PATH, _LONGEST_PART = 2048, 255  # bytes; the system takes 4,096 and 255, the volume's own path included
_NAME_RULE = "letters, digits, '.', '_' and '-', at most 64, not starting with '.' or '-'"


def home() -> Path:
    """The root of the volume: $AGENTFORGE_HOME, else ~/.agentforge."""
    return Path(os.environ.get(HOME_VARIABLE) or "~/.agentforge").expanduser().absolute()


def check_run_id(run_id: str) -> None:
    check_name(run_id, "run_id")


def check_name(name: str, field: str) -> None:
    """Raise unless the name is safe as one component of a path, on every file system and in every log."""
    if _NAME.fullmatch(name):
        return
    shown = name if len(name) <= 64 else f"{name[:40]}… ({len(name):,} characters)"
    raise InvalidInput(
        f"{field} {shown!r} is not allowed", reason="INVALID_NAME", field=field, next_step=f"Use {_NAME_RULE}."
    )


def resolve_inside(home: Path, relative: str, *, field: str = "path") -> Path:
    """The place on the volume that `relative` names. It need not exist, but no part of it is a symbolic link.

    The volume itself may be reached through links; what is below it may not, or a link could lead out of it.
    """
    parts = _parts(relative, field)
    place = home
    for part in parts:
        place = place / part
        try:
            mode = place.lstat().st_mode
        except FileNotFoundError:
            break
        except NotADirectoryError:
            message = f"path {_shown(relative)} goes through a file as if it were a directory"
            raise InvalidInput(message, reason="NOT_A_DIRECTORY", field=field) from None
        except OSError as error:
            message = f"path {_shown(relative)} cannot be looked up: {error.strerror}"
            raise InvalidInput(message, reason="INVALID_PATH", field=field) from None
        if stat.S_ISLNK(mode):
            message = f"path {_shown(relative)}: {part!r} is a symbolic link"
            raise InvalidInput(
                message, reason="SYMLINK", field=field, next_step="Give the path of the real file or directory."
            )
    return home.joinpath(*parts)


def _parts(relative: str, field: str) -> list[str]:
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    if "\0" in relative or _not_encodable(relative):
        message = f"path {_shown(relative)} holds a character that no file name can have"
        raise InvalidInput(message, reason="INVALID_PATH", field=field)
    if len(relative.encode()) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_PART for part in parts):
        message = f"path {_shown(relative)} is longer than any file's on the volume"
        raise InvalidInput(message, reason="INVALID_PATH", field=field)
    if relative.startswith("/") or ".." in parts or not parts:
        raise InvalidInput(
            f"path {_shown(relative)} does not name anything inside the volume",
            reason="PATH_OUTSIDE_VOLUME",
            field=field,
            next_step=f"Give a path relative to ${HOME_VARIABLE}, without '..'; import other files first.",
        )
    return parts


def _not_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _shown(path: str) -> str:
    return repr(path) if len(path) <= 200 else f"{path[:100]!r}… ({len(path):,} characters)"
