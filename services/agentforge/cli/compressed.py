"""A compressed model, read again: every bit of its file, each tensor, and the model that they make."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from agentforge.codecs.model import read_forge
from agentforge.edge.package.verdict import Verification
from agentforge.kit.errors import ForgeError
from agentforge.train.loading import load_model


def verify_compressed(directory: Path) -> Verification:
    found = Verification(str(directory), name=directory.resolve().name)
    found.not_verified_here = ["what the model answers: agentforge eval measures it"]
    try:
        forge = read_forge(directory)
        kinds = Counter(payload.codec for payload in forge.payloads.values())
        told = ", ".join(f"{count} {codec}" for codec, count in sorted(kinds.items()))
        found.ok("file", f"{forge.file:,} bytes, whole by its digest: {told}", str(directory))
        loaded = load_model(directory)
    except ForgeError as error:
        found.failed_by("model" if found.checks else "file", error)
        return found
    count = sum(parameter.numel() for parameter in loaded.model.parameters())
    found.ok("model", f"all its tensors fit config.json, and its tokenizer fits: {count:,} dense parameters")
    return found
