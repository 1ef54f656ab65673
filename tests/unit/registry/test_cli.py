"""`agentforge models …` and `agentforge export`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.program import Program

from .making import model


def test_a_model_from_outside_and_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    forge = Program(home)
    source = model(tmp_path / "mine")
    made = forge("models", "register", "pico", source, "--tag", "k=v", "--json")
    assert made.code == 0, made.err
    version = json.loads(made.out)
    assert (version["version"], version["facts"]["parameters"]) == ("1.0.0", "10")
    moved = forge("models", "promote", "pico", "production", "--why", "good", "--json")
    assert json.loads(moved.out)[0]["to_version"] == "1.0.0", moved.err
    out = tmp_path / "out"
    assert forge("export", "pico:production", "--out", out).code == 0
    assert (out / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    assert (out / "README.md").read_text().startswith("---\nlibrary_name: transformers\n")
    stored = home / version["artifact"]["path"] / "config.json"
    stored.write_text(stored.read_text() + " ")
    broken = forge("models", "verify", "pico")
    assert (broken.code, "config.json" in broken.out) == (1, True)
    assert forge("export", "pico", "--out", tmp_path / "no").code != 0
    assert not (tmp_path / "no").exists()
