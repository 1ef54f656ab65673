"""The nine images as they were built: sizes, what is in them, and how each starts and stops."""

from __future__ import annotations

import json
import time

import pytest

from deploy.image_sizes import MEGABYTE, layered, shared_height
from tests.images.engine import IMAGES, PHASES, Container, docker

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.timeout(600)]

MOST_OWN_MB = 50
MOST_GATEWAY_MB = 250
MOST_START_S = 3.0
MOST_STOP_S = 5.0
TRIES = 3
"""A start is measured on a machine that does other things too: the best of so many is the image's own."""
COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "cpp", "as", "ld", "tcc", "make", "pip", "pip3")


def base_layers(images: dict[str, str]) -> int:
    """The gateway and the phases share the base, and what the stage `runtime` adds: tini, a user, packages."""
    both = [layered("docker", images[name]) for name in ("gateway", "cognate")]
    return shared_height(both) - 3


def test_the_gateway_is_small(images: dict[str, str]) -> None:
    above = layered("docker", images["gateway"]).bytes_above(base_layers(images))
    assert above <= MOST_GATEWAY_MB * MEGABYTE


def test_phases_share_all_but_little(images: dict[str, str]) -> None:
    phases = [layered("docker", images[name]) for name in PHASES]
    height = shared_height(phases)
    assert sum(size for _, size in phases[0].layers[:height]) > 700 * MEGABYTE  # torch is in what they share
    own = {image.tag: image.bytes_above(height) / MEGABYTE for image in phases}
    assert {tag: size for tag, size in own.items() if size > MOST_OWN_MB} == {}


@pytest.mark.parametrize("name", sorted(IMAGES))
def test_labels_and_user(images: dict[str, str], name: str) -> None:
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", images[name]))
    assert config["User"] == "10001:10001"
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert labels["title"] == f"agentforge-{name}"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] != "unknown"
    assert labels["revision"] != "unknown"
    assert not [entry for entry in config["Env"] if "TOKEN" in entry or "://" in entry]


@pytest.mark.parametrize("name", sorted(IMAGES))
def test_each_starts_healthy_in_time(images: dict[str, str], name: str) -> None:
    """Its own command on a read-only root without network, capabilities or rights, under a memory limit."""
    took = []
    for _ in range(TRIES):
        with Container(name, images[name]) as started:
            took.append(started.healthy_after_s())
        if took[-1] <= MOST_START_S:
            break
    print(f"{name}: {', '.join(f'{seconds:.2f}' for seconds in took)} s")
    assert min(took) <= MOST_START_S


def test_a_started_container_holds_what_it_should(container: Container) -> None:
    container.healthy_after_s()
    assert container.run("id", "-u") == "10001"
    look = f"for p in {' '.join(COMPILERS)}; do command -v $p || true; done; touch /x 2>&1 || true"
    found = container.run("sh", "-c", look)
    assert "Read-only file system" in found
    assert len(found.splitlines()) == 1, found
    torch = container.python("import importlib.util as u; print(u.find_spec('torch') is not None)")
    assert torch == str(container.name in PHASES)
    bill = json.loads(container.run("cat", "/usr/share/agentforge/sbom.json"))
    named = {part["name"] for part in bill["components"]}
    assert {"agentforge", "grpcio", "libc6"} <= named
    assert ("torch" in named) == (container.name in PHASES)
    if container.name in PHASES:
        kernel = "from agentforge.models.ternary.kernels import chosen; print(chosen())"
        assert container.python(kernel) in {"avx512", "avx2", "neon", "portable"}


def test_sigterm_ends_it_in_time(container: Container) -> None:
    container.healthy_after_s()
    before = time.monotonic()
    docker("stop", "--time", "30", container.id)
    took = time.monotonic() - before
    assert container.state["ExitCode"] == 0, container.log
    assert took <= MOST_STOP_S
    assert "Traceback" not in container.log


def test_without_a_token_it_refuses_to_be_reached(images: dict[str, str]) -> None:
    for name in ("gateway", "cognate"):
        with Container(name, images[name], "--env", "AGENTFORGE_TOKEN=") as started:
            deadline = time.monotonic() + 60
            while started.state["Running"] and time.monotonic() < deadline:
                time.sleep(0.2)
            assert started.state["ExitCode"] == 2, started.log
            assert "AGENTFORGE_TOKEN" in started.log
