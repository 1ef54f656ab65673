"""Sizes of images, from the engine's account of their layers: the base, what they share, each one's own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Layered:
    """An image as its layers' digests, from the bottom, each with its bytes."""

    tag: str
    layers: tuple[tuple[str, int], ...]

    def bytes_above(self, height: int) -> int:
        return sum(size for _, size in self.layers[height:])


def layered(docker: str, tag: str) -> Layered:
    """`docker history` has an entry per instruction, the newest first, and not every one made a layer."""
    inspect = [docker, "image", "inspect", "--format", "{{json .RootFS.Layers}}", tag]
    digests = json.loads(subprocess.run(inspect, check=True, capture_output=True).stdout)
    history = [docker, "history", "--no-trunc", "--human=false", "--format", "{{json .}}", tag]
    lines = subprocess.run(history, check=True, capture_output=True, text=True).stdout.splitlines()
    entries = [json.loads(line) for line in reversed(lines)]
    sizes = [int(entry["Size"]) for entry in entries if not _is_setting(entry)]
    if len(sizes) != len(digests):
        raise SystemExit(f"{tag}: {len(digests)} layers, and a history of {len(sizes)}")
    return Layered(tag, tuple(zip(digests, sizes, strict=True)))


def _is_setting(entry: dict[str, str]) -> bool:
    """ENV, LABEL and the like make no layer, nor a WORKDIR that was there; a RUN does, even an empty one."""
    words = entry["CreatedBy"].removeprefix("/bin/sh -c #(nop) ").split()
    settings = {"ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "SHELL", "STOPSIGNAL", "USER"}
    there = entry["CreatedBy"].endswith("WORKDIR /")
    return there or (bool(words) and words[0] in settings)


def shared_height(images: Sequence[Layered]) -> int:
    """How many layers from the bottom are the same in all of these."""
    height = 0
    for level in zip(*(image.layers for image in images), strict=False):
        if len({digest for digest, _ in level}) > 1:
            break
        height += 1
    return height


def table(docker: str, base: str, tags: Sequence[str]) -> str:
    images = {tag: layered(docker, tag) for tag in tags}
    bottom = len(layered(docker, base).layers)
    phases = [image for tag, image in images.items() if not tag.startswith("agentforge-gateway")]
    shared = shared_height(phases) if len(phases) > 1 else bottom
    lines = [f"{'image':<36}{'base':>9}{'shared':>9}{'own':>9}{'whole':>9}   MB (10^6 bytes)"]
    for tag, image in images.items():
        whole, above, own = (image.bytes_above(h) for h in (0, bottom, shared if image in phases else bottom))
        sizes = (whole - above, above - own, own, whole)
        lines.append(f"{tag:<36}" + "".join(f"{size / MEGABYTE:>9.1f}" for size in sizes))
    return "\n".join(lines)
