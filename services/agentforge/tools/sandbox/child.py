"""What stands between a fresh Python and the code: it locks the process in, says so, and runs the code.

Started by launch.py as a script, alone (-I -S): it imports nothing of this project, and little else, as every
import is paid for at each call. Descriptor 0 holds the code, 1 takes what it prints, 2 what is said about it.
Before "ready" stands on 2, no line of the code has been run; whatever comes behind it, the code can have written.
"""

import _ast
import _warnings
import builtins
import ctypes
import os
import resource
import sys
from os import _exit, write  # under names of their own: the code can put other things into os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_PDEATHSIG, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVS, _FILTER = 1, 4, 22, 38, 2
_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 1 << 17, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30
_PRIVATE, _RECURSIVE = 1 << 18, 1 << 14
_READ_ONLY = 1 | 2 | 4 | 8  # and nosuid, nodev, noexec
_CAPABILITIES_V3 = 0x20080522
_SIGKILL = 9  # the module signal costs a millisecond
_NOBODY = 65534
_MESSAGE = 300  # characters
_BALLAST = 1 << 20  # bytes, let go of so that running out of memory can be told

# Modules that open another one only when they are used.
_LATER = {b"strptime": "_strptime", b"\\N{": "unicodedata", b"collections": "collections.abc"}

libc = ctypes.CDLL(None, use_errno=True)


def main(launcher: int, memory: int, cpu_seconds: int, program: bytes, modules: list[str]) -> None:
    code = _all_of(0)
    os.close(0)
    _load(code, modules)
    out = open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    layers = ["seccomp", "rlimits", *_fewer_rights(), *_namespaces()]
    _die_with(launcher)
    if "namespaces" in layers:
        _go_inside()
        layers += _empty_root()
    _lock(memory, cpu_seconds, program)
    sys.stdin, sys.stdout, sys.stderr = None, out, out
    write(2, f"ready {' '.join(layers)}\n".encode())
    _finish(out, *_run(code))


def _all_of(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


def _load(code: bytes, modules: list[str]) -> None:
    """Files cannot be opened later: a module has to be there before the code is. Its name in the code is enough."""
    named = [name for name in modules if name.encode() in code and b"import" in code]
    for name in [*named, *(name for sign, name in _LATER.items() if sign in code)]:
        __import__(name)
    _warnings.filters.insert(0, ("ignore", None, Warning, None, 0))  # they would stand in what is printed
    sys.path.clear()
    sys.meta_path[1:] = [Absent(modules)]  # the first finds what is built into Python


class Absent:
    """The last finder: says which modules there are, instead of looking for files."""

    def __init__(self, modules: list[str]) -> None:
        self.there = ", ".join(modules)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        raise ModuleNotFoundError(f"{name} cannot be imported here; these can: {self.there}", name=name)


def _fewer_rights() -> list[str]:
    """Root becomes nobody: the limit on processes does not hold for root."""
    if os.getuid() != 0:
        return []
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        return []
    return ["nobody"]


def _namespaces() -> list[str]:
    """No network device, no processes to see or signal but its own. Many containers forbid it."""
    every = _NEWUSER | _NEWPID | _NEWNET | _NEWNS | _NEWIPC | _NEWUTS
    return ["namespaces"] if libc.unshare(every) == 0 else []


def _die_with(launcher: int) -> None:
    """Not even a killed launcher leaves this process behind. Forgotten at changes of rights: so asked for after."""
    _checked(libc.prctl(_PDEATHSIG, _SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != launcher:
        _exit(1)


def _go_inside() -> None:
    """Become process 1 of the new namespace. The outer process stays, to end as the inner one ends."""
    watched, held = os.pipe()
    inner = os.fork()
    if inner == 0:
        os.close(held)
        _checked(libc.prctl(_PDEATHSIG, _SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
        os.set_blocking(watched, False)
        try:
            os.read(watched, 1)
        except BlockingIOError:  # the outer process holds the other end: it lived when the line above was done
            os.close(watched)
            return
        _exit(1)
    for descriptor in (watched, 1, 2):
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
    if status < 0:
        os.kill(os.getpid(), -status)
    _exit(status)


def _empty_root() -> list[str]:
    """The root folder becomes an empty one. Then the rights to change that back are given up."""
    done = (
        libc.mount(b"none", b"/", None, _PRIVATE | _RECURSIVE, None) == 0
        and libc.mount(b"none", b"/proc", b"tmpfs", _READ_ONLY, b"size=4k,mode=555") == 0
        and libc.chroot(b"/proc") == 0
    )
    os.chdir("/")
    header, nothing = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)()
    _checked(libc.capset(header, nothing), "capset")
    return ["empty-root"] if done else []


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _lock(memory: int, cpu_seconds: int, program: bytes) -> None:
    """From here there is no way back. Every part is needed: where one fails, the code is not run."""
    for name in ("CORE", "FSIZE", "NPROC", "MEMLOCK", "MSGQUEUE"):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    _checked(libc.prctl(_DUMPABLE, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")
    filter_calls(program)
    try:
        os.stat("/")  # noqa: PTH116
    except PermissionError:
        return
    raise OSError("the filter of system calls was accepted, and does not filter")


def filter_calls(program: bytes) -> None:
    """Of this thread, and of what it starts."""
    _checked(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    given = Program(len(program) // 8, program)
    _checked(libc.prctl(_SECCOMP, _FILTER, ctypes.byref(given), 0, 0), "prctl(PR_SET_SECCOMP)")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _run(code: bytes) -> tuple[str, str]:
    """How it ended, and in what words."""
    ballast = [bytes(_BALLAST)]
    try:
        _execute(code)
    except MemoryError:
        ballast.clear()
        return "memory", ""
    except SystemExit as error:
        return ("done", "") if error.code in (None, 0) else ("error", _last_line(error))
    except (PermissionError, ModuleNotFoundError) as error:
        return "refused", _last_line(error)
    except BaseException as error:
        return "error", _last_line(error)
    return "done", ""


def _execute(code: bytes) -> None:
    """As a script; but the value of a last expression is printed, as at a prompt."""
    scope = sys.modules["__main__"] = type(sys)("__main__")
    tree = compile(code, "<python>", "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, _ast.Module)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
    exec(compile(tree, "<python>", "exec", dont_inherit=True), scope.__dict__)  # noqa: S102
    if isinstance(last, _ast.Expr):
        body = _ast.Expression(last.value)
        value = eval(compile(body, "<python>", "eval", dont_inherit=True), scope.__dict__)  # noqa: S307
        if value is not None:
            builtins.print(value)  # noqa: T201


def _last_line(error: BaseException) -> str:
    """Of its traceback."""
    try:
        lines = f"{type(error).__name__}: {error}".splitlines()
    except BaseException:  # its text is the code's own, too
        lines = [type(error).__name__]
    return lines[-1][:_MESSAGE]


def _finish(out: "TextIO", ending: str, message: str) -> None:
    """At once: nothing that the code registered for the end is run."""
    try:
        out.flush()
    except (OSError, ValueError):
        ending, message = "error", "what it printed could not be written"
    write(2, f"{ending} {message}".encode(errors="backslashreplace"))
    _exit(ending != "done")


if __name__ == "__main__":
    _launcher, _memory, _cpu_seconds = map(int, sys.argv[1:4])
    main(_launcher, _memory, _cpu_seconds, bytes.fromhex(sys.argv[4]), sys.argv[5].split(","))
