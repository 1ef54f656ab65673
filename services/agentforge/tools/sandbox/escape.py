"""What an escape is: code that tries to get out, to break something or to use up the machine.

Each proves itself by an effect that `canaries.py` looks for. In its scope are the names that `Canaries.scope` gives
and those of PRELUDE: it gets ctypes and the C library for nothing, as hiding them would be no wall. None would do
lasting harm where it succeeded: bombs are counted, signals go to processes made for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentforge.tools.sandbox.limits import Failure

PRELUDE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
numbers = {
    "add_key": (248, 217), "bpf": (321, 280), "clone": (56, 220), "clone3": (435, 435), "getdents64": (217, 61),
    "io_setup": (206, 0), "io_uring_setup": (425, 425), "kcmp": (312, 272), "keyctl": (250, 219),
    "memfd_create": (319, 279), "move_mount": (429, 429), "name_to_handle_at": (303, 264), "openat2": (437, 437),
    "perf_event_open": (298, 241), "pidfd_open": (434, 434), "pivot_root": (155, 41),
    "process_vm_readv": (310, 270), "tgkill": (234, 131), "userfaultfd": (323, 282),
}
def kernel(name, *arguments):
    return proven(libc.syscall(numbers[name][machine != "x86_64"], *arguments))
def proven(result):
    if result is not None and result >= 0:
        print(proof, flush=True)
    return result
def connect(family, kind, address):
    descriptor = libc.socket(family, kind, 0)
    libc.connect(descriptor, address, len(address))
    libc.send(descriptor, b"hello", 5, 0)
def inet(port):
    return (2).to_bytes(2, sys.byteorder) + port.to_bytes(2, "big") + bytes((127, 0, 0, 1)) + bytes(8)
def unix(name):
    return (1).to_bytes(2, sys.byteorder) + name
"""


@dataclass(frozen=True, slots=True)
class Escape:
    name: str
    code: str
    bare: bool = False  # it succeeds in an ordinary process on every machine: shows that its effect is noticed
    ends: tuple[Failure, ...] = ()  # how it has to end, but by its time; () where only its effect counts
