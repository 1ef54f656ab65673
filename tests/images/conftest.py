"""Tests of the nine images. Those marked `docker` need an engine that has them: `make base-image images`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.images.engine import IMAGES, Container, docker


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "docker: needs a container engine; skipped where there is none")


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Image by name; skips where there is no engine, and where the images were not built."""
    try:
        docker("version")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no container engine answers: {error}")
    here = docker("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    absent = [image for image in IMAGES.values() if image not in here]
    if absent:
        pytest.skip(f"not built (make base-image images): {', '.join(absent)}")
    return IMAGES


@pytest.fixture(params=sorted(IMAGES))
def container(request: pytest.FixtureRequest, images: dict[str, str]) -> Iterator[Container]:
    """Each image once, as it stands: its own command, on a read-only root, without a network."""
    with Container(request.param, images[request.param]) as started:
        yield started
