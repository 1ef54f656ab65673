"""Two files for PyTorch alone: a state dict, and an exported program that needs no code of ours to run.

model.pt is a plain dict of tensors; ternary layers stay in 2 bits, and ternary_layers.json says what they are.
model.pt2 takes input_ids and attention_mask and gives logits, without a cache: each new token reads the text again.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import DataLoss, RunFailed
from agentforge.phase8_compression.formats.face import Format, Made, Options
from agentforge.phase8_compression.formats.packing import modes, packed, rebuilt

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item

STATE, PROGRAM, TERNARY = "model.pt", "model.pt2", "ternary_layers.json"


def make(model: Any, codec: Codec, directory: Path, options: Options) -> Made:
    import torch

    from agentforge.phase8_compression.formats.exporting import Window, export, window

    own = packed(model).float().cpu()
    torch.save(own.state_dict(), directory / STATE)
    (directory / TERNARY).write_bytes(canonical_json(modes(own)))
    own.config.save_pretrained(directory)
    codec.tokenizer.save_pretrained(directory)
    room: Window = window(own.config.to_dict(), options.context)
    torch.export.save(export(own, room), directory / PROGRAM)
    _check_state(directory, own)
    files = tuple(sorted(path.name for path in directory.iterdir()))
    return Made(directory, files, {PROGRAM: True}, {"torch": torch.__version__, **room._asdict()})


def load_state(directory: Path) -> Any:
    """The model of model.pt; no code in it is run."""
    import torch

    try:
        state = torch.load(directory / STATE, weights_only=True, map_location="cpu")
        ternary = json.loads((directory / TERNARY).read_bytes())
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        message = f"{directory / STATE} cannot be read: {error}"
        raise DataLoss(message, reason="BROKEN_FILE", field=str(directory / STATE)) from error
    return rebuilt(directory, state, ternary)


def answers(made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str = "") -> list[str]:
    """By the exported program."""
    from agentforge.phase8_compression.formats.exporting import Window, load
    from agentforge.phase8_compression.formats.prefill import answered

    room = Window(**{name: made.told[name] for name in Window._fields})
    return answered(load(made.path(PROGRAM)), room, codec, items, batch=batch)


def _check_state(directory: Path, model: Any) -> None:
    """Read back, it gives the same logits to the bit."""
    import torch

    row_1T = torch.arange(model.config.vocab_size)[None, :16]
    with torch.no_grad():
        same = torch.equal(load_state(directory)(row_1T).logits, model(row_1T).logits)
    if not same:
        raise RunFailed(f"{STATE} gives other logits when it is read back", reason="PARITY_LOST", field=STATE)


FORMAT = Format("pytorch", (STATE, PROGRAM), True, {}, make, answers)
