"""Building the library: once, whole, by one process at a time, and honestly when it cannot be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentforge.kit.errors import MissingTool
from agentforge.models.ternary.kernels import build

SAY = (
    "import logging, torch; logging.basicConfig(format='%(message)s');"
    "from agentforge.models.ternary.kernels import chosen, prepare, ternary_matmul as product;"
    "x = torch.ones(2, 3, dtype=torch.int8);"
    "print(chosen(), product(x, prepare(x)).tolist(), chosen())"
)


def started(home: Path, **environment: str) -> subprocess.Popen[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-c", SAY],
        env=kept | {"AGENTFORGE_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def library() -> Path:
    """Built once for these tests, in this machine's own cache."""
    return build.built()


@pytest.fixture
def home(tmp_path: Path, library: Path) -> Path:
    """A volume that has the library already."""
    place = tmp_path / "cache" / "kernels"
    place.mkdir(parents=True)
    shutil.copy(library, place)
    return tmp_path


def files(home: Path) -> list[Path]:
    return sorted((home / "cache" / "kernels").glob("*.so"))


def test_what_was_built_is_taken_again(home: Path, monkeypatch: pytest.MonkeyPatch, library: Path) -> None:
    monkeypatch.setenv("AGENTFORGE_HOME", str(home))
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("it compiled again"))
    assert build.built().read_bytes() == library.read_bytes()


@pytest.mark.parametrize("damage", [b"", b"no library", None])
def test_a_broken_file_is_not_loaded(
    home: Path, library: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    (file,) = files(home)
    whole = file.read_bytes()
    file.write_bytes(whole[:5000] + b"\1" + whole[5001:] if damage is None else damage)
    monkeypatch.setenv("AGENTFORGE_HOME", str(home))
    made: list[Path] = []

    def compiled(place: Path, key: str) -> Path:
        made.append(Path(shutil.copy(library, place)))
        return made[0]

    monkeypatch.setattr(build, "_compile", compiled)
    assert build.built() == made[0]
    assert files(home) == made  # what was broken is gone
    assert made[0].read_bytes() == whole


def test_other_sources_are_another_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build._key()
    shutil.copytree(build.SOURCE, tmp_path / "source")
    monkeypatch.setattr(build, "SOURCE", tmp_path / "source")
    assert build._key() == before
    with (tmp_path / "source" / "linear.hpp").open("a") as file:
        file.write("// more\n")
    assert build._key() != before


def test_without_a_compiler_torch_computes_and_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    process = started(tmp_path, PATH=str(tmp_path / "bin"))
    printed, said = process.communicate(timeout=60)
    assert printed.strip() == "torch [[3, 3], [3, 3]] torch"
    assert said.count("plain torch, many times slower") == 1
    assert "no C++ compiler" in said
    assert "apt-get install g++" in said


def test_a_kernel_that_is_asked_for_and_cannot_be_built_is_an_error(tmp_path: Path) -> None:
    process = started(tmp_path, CXX="/no/such/compiler", AGENTFORGE_KERNEL="portable")
    assert process.wait(timeout=60) != 0
    assert "MissingTool: no C++ compiler: /no/such/compiler is not here" in process.communicate()[1]


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'x.cpp:1: error: no C++20 here' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("AGENTFORGE_HOME", str(tmp_path))
    with pytest.raises(MissingTool, match="no C\\+\\+20 here"):
        build.built()
    assert [file.suffix for file in (tmp_path / "cache" / "kernels").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("name", "said"), [("sse9", "AGENTFORGE_KERNEL is 'sse9', which is no kernel"), ("neon", "this CPU cannot run")]
)
def test_a_kernel_that_is_not_here_is_named(home: Path, name: str, said: str) -> None:
    process = started(home, AGENTFORGE_KERNEL=name)
    _, error = process.communicate(timeout=60)
    assert process.returncode != 0
    assert said in error


@pytest.mark.slow
def test_a_library_that_came_along_needs_neither_compiler_nor_cache(home: Path, tmp_path: Path) -> None:
    shipped = home / "cache" / "kernels"
    shipped.chmod(0o555)
    (tmp_path / "no-folder").write_text("where a cache would have to be made")
    process = started(tmp_path / "no-folder", CXX="/no/such/compiler", AGENTFORGE_KERNELS=str(shipped))
    printed, said = process.communicate(timeout=60)
    assert printed, said
    assert not printed.startswith("torch"), said


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"no library", None])
def test_a_library_that_came_along_broken_or_old_is_told_and_left(
    home: Path, tmp_path: Path, damage: bytes | None
) -> None:
    shipped = home / "cache" / "kernels"
    (file,) = files(home)
    if damage is None:
        file.rename(shipped / f"{'0' * 24}{file.name[24:]}")  # of other sources
    else:
        file.write_bytes(damage)
    before = files(home)
    process = started(tmp_path / "other", CXX="/no/such/compiler", AGENTFORGE_KERNELS=str(shipped))
    printed, said = process.communicate(timeout=60)
    assert printed.startswith("torch")
    assert f"AGENTFORGE_KERNELS names {shipped}, which has no whole library of these sources" in said
    assert files(home) == before


@pytest.mark.slow
def test_a_library_that_came_along_for_another_system_is_an_error(tmp_path: Path) -> None:
    foreign = tmp_path / "new.so"
    foreign.write_bytes(b"\x7fELF of another machine")
    foreign.rename(tmp_path / build._name(build._key(), foreign))
    process = started(tmp_path, AGENTFORGE_KERNEL="portable", AGENTFORGE_KERNELS=str(tmp_path))
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "was compiled for another system than this" in said
    assert list(tmp_path.glob("*.so"))


@pytest.mark.slow
def test_a_file_of_another_system_is_built_anew(tmp_path: Path) -> None:
    place = tmp_path / "cache" / "kernels"
    place.mkdir(parents=True)
    foreign = place / "new.so"
    foreign.write_bytes(b"\x7fELF of another machine")
    foreign.rename(place / build._name(build._key(), foreign))
    process = started(tmp_path)  # its name fits its bytes, but it does not load
    printed, said = process.communicate(timeout=280)
    assert printed, said
    assert not printed.startswith("torch"), said
    assert len(files(tmp_path)) == 1


@pytest.mark.slow
def test_two_processes_that_build_at_once_both_have_it(tmp_path: Path) -> None:
    both = [started(tmp_path), started(tmp_path)]
    outcomes = [process.communicate(timeout=280) for process in both]
    assert [process.returncode for process in both] == [0, 0], outcomes
    assert outcomes[0][0] == outcomes[1][0]
    assert not outcomes[0][0].startswith("torch")
    (file,) = files(tmp_path)
    assert sorted(path.suffix for path in file.parent.iterdir()) == [".lock", ".so"]
