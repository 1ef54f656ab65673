"""The filter of system calls, as a program for the kernel (seccomp-bpf). Assembled here: no library is needed.

Everything that is not listed is answered EPERM, so code sees a PermissionError. What is listed is what Python
needs to compute, sleep and print after all its modules are loaded. Of these, writing goes to descriptors 1 and 2
alone, and memory is never executable: no machine code but Python's own, so no other ABI to call the kernel by.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF: LD|W|ABS, JMP|JEQ|K, JMP|JSET|K, RET|K
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_PROT_EXEC = 4


def _argument(index: int) -> int:
    """Offset of the lower half of an argument: both architectures are little-endian. Descriptors and prot fit."""
    return 16 + 8 * index


@dataclass(frozen=True, slots=True)
class Abi:
    """AUDIT_ARCH_* and the numbers of the allowed calls, as in the kernel's tables."""

    architecture: int
    write: int
    mapping: tuple[int, ...]  # mmap, mprotect: allowed without PROT_EXEC, which is argument 2 of both
    free: Mapping[str, int]


ABIS: Mapping[str, Abi] = {
    "x86_64": Abi(
        architecture=0xC000003E,
        write=1,
        mapping=(9, 10),
        free={
            "munmap": 11, "brk": 12, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25,
            "nanosleep": 35, "exit": 60, "gettimeofday": 96, "time": 201, "restart_syscall": 219,
            "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "getrandom": 318,
        },
    ),
    "aarch64": Abi(
        architecture=0xC00000B7,
        write=64,
        mapping=(222, 226),
        free={
            "exit": 93, "exit_group": 94, "nanosleep": 101, "clock_gettime": 113, "clock_getres": 114,
            "clock_nanosleep": 115, "sched_yield": 124, "restart_syscall": 128, "rt_sigprocmask": 135,
            "rt_sigreturn": 139, "gettimeofday": 169, "brk": 214, "munmap": 215, "mremap": 216, "getrandom": 278,
        },
    ),
}  # fmt: skip


def program(abi: Abi) -> bytes:
    """An array of struct sock_filter. A call through another ABI (int 0x80) would have other numbers: it kills."""
    allow, refuse = _instruction(_RETURN, _ALLOW), _instruction(_RETURN, _ERRNO | errno.EPERM)
    whole = [
        *_number_of_this(abi),
        _instruction(_JUMP_EQUAL, abi.write, 0, 5),
        _instruction(_LOAD, _argument(0)),
        _instruction(_JUMP_EQUAL, 1, 1, 0),
        _instruction(_JUMP_EQUAL, 2, 0, 1),
        allow,
        refuse,
    ]
    for number in abi.mapping:
        whole += [
            _instruction(_JUMP_EQUAL, number, 0, 4),
            _instruction(_LOAD, _argument(2)),
            _instruction(_JUMP_ANY_BIT, _PROT_EXEC, 0, 1),
            refuse,
            allow,
        ]
    for number in abi.free.values():
        whole += [_instruction(_JUMP_EQUAL, number, 0, 1), allow]
    return b"".join([*whole, refuse])


def refusing(abi: Abi, numbers: Sequence[int]) -> bytes:
    """The contrary: everything but these. No sandbox, but what a machine that lacks something is like."""
    allow, refuse = _instruction(_RETURN, _ALLOW), _instruction(_RETURN, _ERRNO | errno.EPERM)
    listed = [part for number in numbers for part in (_instruction(_JUMP_EQUAL, number, 0, 1), refuse)]
    return b"".join([*_number_of_this(abi), *listed, allow])


def _number_of_this(abi: Abi) -> list[bytes]:
    return [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, abi.architecture, 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER),
    ]


def _instruction(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, k)
