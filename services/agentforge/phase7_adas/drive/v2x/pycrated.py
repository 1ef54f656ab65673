"""The edge to pycrate, which is untyped, keeps values inside its type objects, and raises whatever it meets.

Not for several threads at once: encoding and decoding go through the one object of a type.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from agentforge.kit.errors import MissingTool


class Undecodable(Exception):
    """These octets are not one whole message of this type."""


def missing(error: ImportError) -> MissingTool:
    return MissingTool(
        "V2X messages need pycrate, which is not installed",
        field="pycrate",
        next_step="Install it: pip install 'agentforge[adas]'.",
    )


def compiled(text: str, module: str) -> Any:
    """pycrate's Python for an ASN.1 text, compiled and run. Cache what it gives: it takes some 60 ms."""
    try:
        from pycrate_asn1c.asnproc import GLOBAL, compile_text, generate_modules
        from pycrate_asn1c.generator import PycrateGenerator
    except ImportError as error:
        raise missing(error) from error
    GLOBAL.clear()
    compile_text(text)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.py"
        generate_modules(PycrateGenerator, str(made))
        space: dict[str, Any] = {"__name__": f"pycrate_compiled_{module}"}
        exec(compile(made.read_text(encoding="utf-8"), f"<{module}>", "exec"), space)  # noqa: S102 - from our text
    return space[module]


def encode(kind: Any, value: Any) -> bytes:
    kind.set_val(value)
    octets: bytes = kind.to_uper()
    return octets


def decode(kind: Any, octets: bytes) -> Any:
    """The value of these octets, neither too few nor one too many. pycrate does not look at padding bits."""
    from pycrate_core.charpy import Charpy

    source = Charpy(octets)
    try:
        kind.from_uper(source)
        spare = source.len_bit()
        value = kind.get_val()
    except Exception as error:  # pycrate raises many types, its own and Python's, on octets that mean nothing
        raise Undecodable(str(error)) from error
    if spare:
        raise Undecodable(f"{spare} bits are left over")
    return value
