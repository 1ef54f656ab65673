"""Networks as files: the bytes if they are what the json beside them says, and a session on one thread."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from agentforge.kit.errors import DataLoss, NotFound


def checked(path: Path, reasons: tuple[str, str], remake: str) -> bytes:
    """`reasons` of errors: it is missing, it is another; `remake`: the module that makes it anew."""
    side = path.with_suffix(".json")
    for each in (path, side):
        if not each.is_file():
            raise NotFound(
                f"the network's file {each.name} is missing",
                reason=reasons[0],
                field=str(each),
                next_step=f"Make it: python -m {remake} --out DIR.",
            )
    made = path.read_bytes()
    if hashlib.sha256(made).hexdigest() != json.loads(side.read_text()).get("sha256"):
        raise DataLoss(
            f"{path.name} is not what {side.name} says",
            reason=reasons[1],
            field=str(path),
            next_step=f"Restore both from the repository, or make them anew with {remake}.",
        )
    return made


def session(made: bytes) -> Any:
    """One thread, which sleeps when it waits: other stages need the core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
