"""Executes docs/add-a-phase.md: its files, its commands, through the real program."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "add-a-phase.md"
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
COMMANDS = re.compile(r"<!-- test: run -->\n```bash\n(.*?)```", re.DOTALL)


def test_the_page_works_as_it_is_written(tmp_path: Path) -> None:
    page = PAGE.read_text()
    files = FILE.findall(page)
    assert sum(len(text.splitlines()) for _, text in files) < 80
    for name, text in files:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (commands,) = COMMANDS.findall(page)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    words = (tmp_path / "shuffled" / "text" / "text.txt").read_text().split()
    assert sorted(words) == sorted(["to", "be", "or", "not", "to", "be"])
    assert "shuffle/moved = " in done.stdout
    assert '"rounds": 5' in done.stdout or "rounds: 5" in done.stdout
    assert "2/2 rounds" in done.stdout


def test_its_files_are_as_clean_as_ours(tmp_path: Path) -> None:
    for name, text in FILE.findall(PAGE.read_text()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    options = ["--config", PAGE.parents[1] / "pyproject.toml", "--ignore", "I001"]
    command = [sys.executable, "-m", "ruff", "check", *options, tmp_path / "my_phases"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def environment(place: Path) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AGENTFORGE_") and k != "PYTHONPATH"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return clean | {"AGENTFORGE_HOME": str(place / "home"), "PATH": path}
