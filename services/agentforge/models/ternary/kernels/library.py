"""Which kernel computes: the best that this CPU runs, or the one that AGENTFORGE_KERNEL names."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
from ctypes import c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass

from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput
from agentforge.models.ternary.kernels.build import built, discard
from agentforge.models.ternary.kernels.layout import STRUCTURES

VARIABLE = "AGENTFORGE_KERNEL"
KERNELS = ("avx512", "avx2", "neon", "portable", "torch")
_log = logging.getLogger(__name__)
_NOTHING: list[type] = []
_SIGNATURES = {
    "variants_here": (c_char_p, _NOTHING),
    "variant_named": (c_void_p, [c_char_p]),
    "struct_sizes": (c_int64, [c_int]),
    "ternary_matmul": (None, [c_void_p, c_void_p, c_void_p, c_int64, c_void_p, c_int]),
    "linear": (None, [c_void_p, c_void_p, c_void_p, c_int64, c_void_p, c_int]),
    "decode_new": (c_void_p, [c_void_p, c_void_p, c_int, c_int]),
    "decode_free": (None, [c_void_p]),
    "decode_reset": (None, [c_void_p]),
    "decode_length": (c_int64, [c_void_p]),
    "decode_step": (None, [c_void_p, c_void_p, c_int64, c_void_p]),
}


@dataclass(frozen=True)
class Kernel:
    """A variant of the library. The library's handle lives as long as the process."""

    name: str
    library: ctypes.CDLL
    variant: int


def chosen() -> str:
    """avx512, avx2, neon, portable, or torch."""
    kernel = choose()
    return "torch" if kernel is None else kernel.name


def choose() -> Kernel | None:
    """None: plain torch computes."""
    return _choose(os.environ.get(VARIABLE, ""))


@functools.cache
def _choose(wanted: str) -> Kernel | None:
    if wanted == "torch":
        return None
    if wanted and wanted not in KERNELS:
        step = f"Take one of {', '.join(KERNELS)}, or unset it."
        raise InvalidInput(f"{VARIABLE} is {wanted!r}, which is no kernel", field=VARIABLE, next_step=step)
    try:
        library = _library()
    except ForgeError as error:  # no compiler, or nowhere to keep what it makes
        if wanted:
            raise
        _log.warning("Ternary layers compute in plain torch, many times slower than the kernels: %s", error)
        return None
    here = library.variants_here().decode().split(",")
    name = wanted or here[0]
    if name not in here:
        step = f"Here are {', '.join([*here, 'torch'])}."
        message = f"{VARIABLE} is {name!r}, which this CPU cannot run"
        raise FailedPrecondition(message, reason="KERNEL_NOT_HERE", field=VARIABLE, next_step=step)
    return Kernel(name, library, library.variant_named(name.encode()))


def variants() -> list[str]:
    """Those that this CPU runs, the best first."""
    return [*_library().variants_here().decode().split(","), "torch"]


@functools.cache
def _library() -> ctypes.CDLL:
    file = built()
    try:
        library = ctypes.CDLL(str(file))
    except OSError:  # made on another system that shares this volume
        discard(file)
        library = ctypes.CDLL(str(built()))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    sizes = [library.struct_sizes(which) for which in range(len(STRUCTURES))]
    assert sizes == [ctypes.sizeof(structure) for structure in STRUCTURES]
    return library
