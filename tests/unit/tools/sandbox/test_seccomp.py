"""The filter, run by an interpreter of its own: so both architectures are tested on either."""

import ctypes
import ctypes.util
import errno
import struct

import pytest

from agentforge.kit.errors import MissingTool
from agentforge.tools.sandbox import launch, run_python
from agentforge.tools.sandbox.python_tool import PythonTool
from agentforge.tools.sandbox.seccomp import ABIS, Abi, program, refusing
from agentforge.tools.sandbox.thinner import LAYERS, PRCTL, without

ALLOW, KILL, EPERM = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
BOTH = pytest.mark.parametrize("abi", ABIS.values(), ids=list(ABIS))


def decide(code: bytes, abi: Abi, number: int, arguments: tuple[int, ...] = (), architecture: int = 0) -> int:
    """What the kernel does with a call: the four instructions that are used."""
    data = struct.pack("=iIQ6Q", number, architecture or abi.architecture, 0, *(*arguments, *[0] * 6)[:6])
    at, accumulator = 0, 0
    while True:
        operation, if_true, if_false, k = struct.unpack_from("=HBBI", code, 8 * at)
        at += 1
        match operation:
            case 0x20:
                accumulator = struct.unpack_from("=I", data, k)[0]
            case 0x15:
                at += if_true if accumulator == k else if_false
            case 0x45:
                at += if_true if accumulator & k else if_false
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(hex(operation))


@BOTH
def test_only_what_is_listed_is_allowed(abi: Abi) -> None:
    listed = {abi.write, *abi.mapping, *abi.free.values()}
    code = program(abi)
    allowed = {number for number in range(-1, 1000) if decide(code, abi, number, (1,)) == ALLOW}
    assert allowed == listed
    assert {decide(code, abi, number, (1,)) for number in range(1000) if number not in listed} == {EPERM}
    assert decide(code, abi, 0x40000000 | abi.write, (1,)) == EPERM  # x32


@BOTH
def test_only_to_the_pipes(abi: Abi) -> None:
    code = program(abi)
    assert [decide(code, abi, abi.write, (n,)) for n in (0, 1, 2, 3)] == [EPERM, ALLOW, ALLOW, EPERM]
    assert decide(code, abi, abi.write, (2**32 - 1,)) == EPERM


@BOTH
def test_memory_is_never_executable(abi: Abi) -> None:
    code = program(abi)
    for number in abi.mapping:
        for protection in range(32):
            wanted = EPERM if protection & 4 else ALLOW
            assert decide(code, abi, number, (0, 4096, protection)) == wanted


@BOTH
def test_another_abi_kills(abi: Abi) -> None:
    for other in (0x40000003, 0x40000028, 0xC00000F3):  # i386, arm, riscv64
        assert decide(program(abi), abi, abi.write, (1,), other) == KILL


@BOTH
def test_the_contrary(abi: Abi) -> None:
    assert [decide(refusing(abi, (7, 9)), abi, number) for number in (7, 8, 9)] == [EPERM, ALLOW, EPERM]


@pytest.mark.parametrize("machine", ABIS)
def test_the_numbers_are_those_of_libseccomp(machine: str) -> None:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("libseccomp is not installed: nothing to compare with")
    resolve = ctypes.CDLL(name).seccomp_syscall_resolve_name_arch
    resolve.argtypes = (ctypes.c_uint32, ctypes.c_char_p)
    abi = ABIS[machine]
    names = {"write": abi.write, "mmap": abi.mapping[0], "mprotect": abi.mapping[1], **abi.free}
    names |= dict(zip(("unshare", "setgroups"), LAYERS[machine], strict=True)) | {"prctl": PRCTL[machine][0]}
    assert {each: resolve(abi.architecture, each.encode()) for each in names} == names


def test_no_filter_no_run() -> None:
    def attempt() -> None:
        run_python("print(1)")

    with pytest.raises(MissingTool, match="PR_SET_PDEATHSIG") as caught:
        without(PRCTL, attempt)
    assert caught.value.reason == "NO_SANDBOX"
    assert "seccomp" in caught.value.next_step


def test_a_filter_that_does_not_filter_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "program", lambda abi: refusing(abi, ()))
    with pytest.raises(MissingTool, match="does not filter"):
        run_python("print(1)")


def test_another_machine_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    for attempt in (PythonTool, lambda: run_python("1")):
        with pytest.raises(MissingTool, match="linux riscv64"):
            attempt()
