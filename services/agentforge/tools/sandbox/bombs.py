"""Code that uses up what there is, that goes on after its end, that breaks Python, and that lies about itself."""

from __future__ import annotations

from agentforge.tools.sandbox.escape import Escape
from agentforge.tools.sandbox.limits import Failure

_NO_ROOM: tuple[Failure, ...] = ("memory", "error", "died")
_LATE: tuple[Failure, ...] = ("time",)
_FLOOD: tuple[Failure, ...] = ("output",)


def bombs() -> list[Escape]:
    return [*_memory(), *_time(), *_output(), *_interpreter(), *_crashes(), *_lies()]


def _memory() -> list[Escape]:
    return [
        Escape("list", "x = [0] * 10**10", ends=("memory",)),
        Escape("growing list", "x = [1]\nwhile True: x += x", ends=("memory",)),
        Escape("bytes", "x = bytes(10**11)", ends=("memory",)),
        Escape("many small strings", "x = []\nwhile True: x.append(str(len(x)) * 99)", ends=("memory",)),
        Escape("caught again and again", _CAUGHT_MEMORY, ends=("memory",)),
        Escape("text by format", "x = '{:>99999999999}'.format(1)", ends=_NO_ROOM),
        Escape("text by %", "x = '%*d' % (2**31 - 1, 1)", ends=_NO_ROOM),
        Escape("number by shift", "x = 1 << 10**11", ends=_NO_ROOM),
        Escape(
            "anonymous mapping", "at = libc.mmap(None, 10**11, 3, 0x22, -1, 0)\nif at != 2**64 - 1: print(proof)"
        ),
        Escape("shared mapping", "at = libc.mmap(None, 10**11, 3, 0x21, -1, 0)\nif at != 2**64 - 1: print(proof)"),
        Escape("malloc", "libc.malloc.restype = ctypes.c_void_p\nif libc.malloc(10**11): print(proof)"),
        Escape("nested text", "x = 'x'\nfor _ in range(60): x = repr([x] * 9)", ends=_NO_ROOM),
        Escape("nested parentheses", "eval('(' * 10**6)", ends=_NO_ROOM),
        Escape("code of minus signs", "eval('-' * 30000 + '1')", ends=_NO_ROOM),
        Escape("recursion", "def f(): return f()\nf()", ends=("error",)),
        Escape(
            "recursion without end", "sys.setrecursionlimit(2**31 - 1)\ndef f(): return f()\nf()", ends=_NO_ROOM
        ),
        Escape("recursion in C", _RECURSION_IN_C, ends=_NO_ROOM),
    ]


_CAUGHT_MEMORY = """
x = []
while True:
    try: x.append(bytes(10**6))
    except MemoryError: pass
"""
_RECURSION_IN_C = """
sys.setrecursionlimit(2**31 - 1)
x = []
for _ in range(10**6): x = [x]
repr(x)
"""


def _time() -> list[Escape]:
    return [
        Escape("loop", "while True: pass", ends=_LATE),
        Escape("sleep", "import time\ntime.sleep(60)", ends=_LATE),
        Escape("pause of libc", "libc.sleep(60)\nwhile True: libc.pause()", ends=_LATE),
        Escape("power", "x = 10**10**8", ends=_LATE),
        Escape("loop in C", "sum(range(10**13))", ends=_LATE),
        Escape("loop in C without end", "import itertools\nmax(itertools.repeat(0))", ends=_LATE),
        Escape("backtracking", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')", ends=_LATE),
        Escape(
            "everything is caught",
            "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
            ends=_LATE,
        ),
        Escape(
            "destructor", "class A:\n    def __del__(self):\n        while True: pass\na = A()\ndel a", ends=_LATE
        ),
        Escape("destructor at the end", _LATE_DESTRUCTOR),
        Escape(
            "text of an error",
            "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
            ends=_LATE,
        ),
        Escape(
            "lock that is held",
            "import _thread\na = _thread.allocate_lock()\na.acquire()\na.acquire()",
            ends=("time", "died"),
        ),
        Escape(
            "value that is printed", "class A:\n    def __str__(self):\n        while True: pass\nA()", ends=_LATE
        ),
        Escape("atexit", _ATEXIT),
        Escape("signals are ignored", _IGNORED, True),
        Escape(
            "alarm to come back by",
            "import _signal\nprint(_signal.setitimer(0, 0.2, 0.2), proof)",
            True,
            ("error",),
        ),
        Escape(
            "closed output, then sleep",
            "libc.close(1)\nlibc.close(2)\nlibc.sleep(60)\nwhile True: pass",
            ends=_LATE,
        ),
    ]


_LATE_DESTRUCTOR = """
class A:
    def __del__(self):
        while True: pass
sys.a = A()
sys.exit = os._exit = None
"""
_ATEXIT = """
import atexit
def late():
    print(proof)
    while True: pass
atexit.register(late)
"""
_IGNORED = """
import _signal
for number in (1, 2, 3, 15, 24):
    _signal.signal(number, _signal.SIG_IGN)
    print(proof)
"""


def _output() -> list[Escape]:
    return [
        Escape("flood", "while True: print('x' * 1000)", ends=_FLOOD),
        Escape("flood without Python", "while True: libc.write(1, b'x' * 4096, 4096)", ends=_FLOOD),
        Escape("flood of errors", "while True: print('x' * 1000, file=sys.stderr)", ends=_FLOOD),
        Escape("flood of what is said", "while True: os.write(2, b'x' * 4096)", ends=_FLOOD),
        Escape("one long line", "print('x' * 10**8)", ends=("output", "memory")),
        Escape("flood of bytes that are no text", "while True: os.write(1, bytes(range(256)))", ends=_FLOOD),
        Escape("value that is long", "'x' * 10**7", ends=_FLOOD),
    ]


def _interpreter() -> list[Escape]:
    """Roads through Python to what was not given."""
    return [
        Escape(
            "importlib", "import importlib\nimportlib.import_module('subprocess')\nprint(proof)", True, ("refused",)
        ),
        Escape("__import__", "__import__('soc' + 'ket')\nprint(proof)", True, ("refused",)),
        Escape("finders put back", _FINDERS, True, ("refused", "error")),
        Escape("sys.modules", "sys.modules['posix'].system('echo ' + proof)", True),
        Escape("subclasses", _SUBCLASSES, True),
        Escape("gc", _GC, True),
        Escape("frames", _FRAMES),
        Escape("runner's functions", _RUNNER),
        Escape(
            "builtins replaced",
            "import builtins\nbuiltins.print = os._exit = None\nopen(secret_file)",
            ends=("refused", "died", "error"),
        ),
        Escape(
            "audit hook", "sys.addaudithook(lambda *a: None)\nprint(open(secret_file).read())", False, ("refused",)
        ),
        Escape(
            "a new interpreter",
            "import _xxsubinterpreters as s\ns.run_string(s.create(), f'print(open({secret_file!r}).read())')",
        ),
        Escape("a module from a file", _DYNAMIC, ends=("refused", "error")),
    ]


_FINDERS = """
import _frozen_importlib_external as external
sys.meta_path.append(external.PathFinder)
sys.path[:] = [os.__file__.rpartition("/")[0]]
sys.path_importer_cache.clear()
import colorsys
print(proof)
"""
_SUBCLASSES = """
for kind in ().__class__.__base__.__subclasses__():
    if kind.__name__ == "_wrap_close":
        kind.__init__.__globals__["system"]("echo " + proof)
"""
_GC = """
import gc
for found in gc.get_objects():
    if type(found) is dict and found.get("__name__") == "posix" and "open" in found:
        print(found["read"](found["open"](secret_file, 0), 99))
"""
_FRAMES = """
frame = sys._getframe()
while frame:
    if "libc" in frame.f_globals and "Program" in frame.f_globals:
        proven(frame.f_globals["libc"].prctl(21, 0, 0, 0, 0))
    frame = frame.f_back
"""
_RUNNER = """
frame = sys._getframe()
while frame.f_back: frame = frame.f_back
print(frame.f_builtins["open"](secret_file).read())
"""
_DYNAMIC = """
import _imp
from types import SimpleNamespace
_imp.create_dynamic(SimpleNamespace(name="m", origin=secret_file))
print(proof)
"""


def _crashes() -> list[Escape]:
    """These may end their own process: what counts is that nothing else ends."""
    return [
        Escape("address zero", "ctypes.string_at(0)", ends=("died",)),
        Escape("faulthandler", "import faulthandler\nfaulthandler._sigsegv()"),
        Escape("fatal error", "import faulthandler\nfaulthandler._fatal_error_c_thread()", ends=("died", "error")),
        Escape("abort", "os.abort()", ends=("died",)),
        Escape("handmade bytecode", _BYTECODE, ends=("died", "time", "error", "memory")),
        Escape(
            "counts of references",
            "for _ in range(10**6): ctypes.pythonapi.Py_DecRef(ctypes.py_object(None))",
            ends=("died",),
        ),
        Escape("type of an object", "ctypes.memset(id(int), 0, 400)\nint()", ends=("died",)),
        Escape(
            "own code overwritten",
            "ctypes.memset(ctypes.cast(libc.write, ctypes.c_void_p).value, 0xCC, 64)",
            ends=("died", "error"),
        ),
    ]


_BYTECODE = """
def f(): pass
f.__code__ = f.__code__.replace(co_code=bytes((116, 255) * 200), co_consts=(), co_names=(), co_stacksize=1)
f()
"""


def _lies() -> list[Escape]:
    """What a process says of itself can be made up; how it is limited and ended cannot."""
    return [
        Escape("ready, once more", "os.write(2, b'ready nothing\\n')\nwhile True: pass", ends=("time",)),
        Escape("done, then a loop", "os.write(2, b'done ')\nwhile True: pass", ends=("time",)),
        Escape("done, then a crash", "os.write(2, b'done ')\nctypes.string_at(0)", ends=("died",)),
        Escape("done, then a bad end", "os.write(2, b'done ')\nos._exit(3)", ends=("died",)),
        Escape("no end at all", "os._exit(0)", ends=("died",)),
        Escape("another end", "os._exit(137)", ends=("died",)),
        Escape("an end by exit", "sys.exit('done ')", ends=("error",)),
        Escape("a made-up name of an end", "os.write(2, b'splendid \\xff\\0')\nos._exit(0)", ends=("died",)),
        Escape("a made-up signal", "os._exit(-9)", ends=("died",)),
        Escape("output after the last line", "os.write(2, b'x' * 4097)\nos._exit(0)", ends=("output",)),
    ]
