"""What tests do to disks, and find on them."""

from __future__ import annotations

import subprocess
from pathlib import Path


def names(place: Path) -> list[str]:
    """What is in a directory."""
    return sorted(entry.name for entry in place.iterdir())


def remount_read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)


def fill_disk(place: Path) -> None:
    """Write until not one more byte fits."""
    with (place / "filler").open("ab", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
