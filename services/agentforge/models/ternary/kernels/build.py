"""The kernels' library: compiled on first use by the machine's own C++ compiler, kept by a digest of its sources.

Plain C behind ctypes: the library knows nothing of torch or Python, so it needs no headers of theirs and outlives
their versions, and ten seconds of the compiler are all it takes.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentforge.kit.digests import digest_file, digest_json
from agentforge.kit.errors import FailedPrecondition, MissingTool
from agentforge.kit.files import disk_errors
from agentforge.kit.paths import HOME_VARIABLE

SHIPPED_VARIABLE = "AGENTFORGE_KERNELS"
"""Environment: a folder that has the library compiled already, as container images do. It is never written to."""
SOURCE = Path(__file__).parent / "source"
COMPILERS = ("g++", "c++", "clang++")
COMMON = [
    "-std=c++20",
    "-O3",
    "-fPIC",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wno-psabi",
]
AVX2 = ["-mavx2", "-mfma"]
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mprefer-vector-width=512"]
# Flags by file: each variant is compiled for its own instructions, and the library asks the CPU which to use.
VARIANTS = {
    "x86_64": {"avx512": AVX2 + AVX512, "avx2": AVX2},
    "aarch64": {"neon": ["-march=armv8.2-a+dotprod"]},
}
_log = logging.getLogger(__name__)
VARIANTS |= {"AMD64": VARIANTS["x86_64"], "arm64": VARIANTS["aarch64"]}


def built() -> Path:
    """The library's file, whole and checked; compiled if it is not there. MissingTool: it cannot be."""
    key = _key()
    if (shipped := _shipped(key)) is not None:
        return shipped
    place = cache_directory()
    with disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        with _locked(place / f"{key}.lock"):
            return _whole(place, key) or _compile(place, key)


def discard(library: Path) -> None:
    """One that does not load: made elsewhere, for another system."""
    if str(library.parent) == os.environ.get(SHIPPED_VARIABLE):
        message = f"{library} was compiled for another system than this: it does not load"
        step = f"Unset {SHIPPED_VARIABLE}, and have a C++20 compiler here."
        raise FailedPrecondition(message, reason="KERNEL_NOT_HERE", field=SHIPPED_VARIABLE, next_step=step)
    library.unlink(missing_ok=True)


def cache_directory() -> Path:
    if home := os.environ.get(HOME_VARIABLE):
        return Path(home).expanduser().absolute() / "cache" / "kernels"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "agentforge" / "kernels"


def _key() -> str:
    sources = {file.name: digest_file(file) for file in sorted(SOURCE.iterdir())}
    system = [platform.system(), platform.machine()]
    return digest_json([sources, COMMON, VARIANTS, system])[:24]


def _shipped(key: str) -> Path | None:
    if not (named := os.environ.get(SHIPPED_VARIABLE)):
        return None
    for file in sorted(Path(named).glob(f"{key}-*.so")):
        if file.name == _name(key, file):
            return file
    _log.warning("%s names %s, which has no whole library of these sources.", SHIPPED_VARIABLE, named)
    return None


def _whole(place: Path, key: str) -> Path | None:
    """The file has the digest of what is in it as part of its name, so one that is not whole is seen."""
    for file in sorted(place.glob(f"{key}-*.so")):
        if file.name == _name(key, file):
            return file
        file.unlink(missing_ok=True)
    return None


def _name(key: str, file: Path) -> str:
    return f"{key}-{hashlib.sha256(file.read_bytes()).hexdigest()[:24]}.so"


def _compile(place: Path, key: str) -> Path:
    compiler = _compiler()
    _log.warning("Compiling the kernels of ternary layers with %s, once: up to a minute.", compiler)
    flags = VARIANTS.get(platform.machine(), {})
    with tempfile.TemporaryDirectory(dir=place) as folder:
        objects = []
        jobs = []
        for source in sorted(SOURCE.glob("*.cpp")):
            objects.append(Path(folder, f"{source.stem}.o"))
            own = flags.get(source.stem, [])
            jobs.append([compiler, *COMMON, *own, "-c", str(source), "-o", str(objects[-1])])
        _run_all(jobs)
        library = Path(folder, "kernels.so")
        _run_all([[compiler, "-shared", "-pthread", *map(str, objects), "-o", str(library)]])
        return library.replace(place / _name(key, library))


def _compiler() -> str:
    named = os.environ.get("CXX")
    for name in [named] if named else COMPILERS:
        if found := shutil.which(name):
            return found
    wanted = f"{named} is not" if named else f"neither {' nor '.join(COMPILERS)} is"
    step = "Install a C++20 compiler (Debian: apt-get install g++), or name one in CXX."
    raise MissingTool(f"no C++ compiler: {wanted} here", field="CXX", next_step=step)


def _run_all(commands: list[list[str]]) -> None:
    """At the same time: the variants take seconds each."""
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for command in commands]
    outcomes = [(process, process.communicate()[1]) for process in running]
    for process, said in outcomes:
        if process.returncode:
            lines = said.decode(errors="replace").strip().splitlines() or ["nothing said"]
            told = next((line for line in lines if "error" in line), lines[-1])
            step = "Take a compiler of C++20 (g++ 11 or later), named in CXX."
            raise MissingTool(f"the C++ compiler failed: {told}", field="CXX", next_step=step)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process compiles; others that come meanwhile wait and take what it made."""
    with file.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
