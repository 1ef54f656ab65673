"""One running service per phase for the tests that only ask; tests that kill start their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.client import PhaseClient
from agentforge.kit.phase import PhaseSpec
from agentforge.kit.refs import ArtifactRef
from tests.contract import examples
from tests.harness import TEST_PIPELINE, Service, phase_service, running

LONG = ("test_killed_workers", "test_killed_services", "test_cancelled_and_retried_it_makes_the_same_bytes")
"""Of the eight phases only the first goes through these in `make test`; `make test-slow` takes them all."""
QUICK = (*(spec.name for module, spec in examples.phases() if module == TEST_PIPELINE), "cognate")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name, _, phase = item.name.rstrip("]").partition("[")
        if name in LONG and phase not in QUICK:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module", params=examples.phases(), ids=lambda phase: phase[1].name)
def phase(request: pytest.FixtureRequest) -> tuple[str, PhaseSpec]:
    found: tuple[str, PhaseSpec] = request.param
    return found


@pytest.fixture(scope="module")
def pipeline(phase: tuple[str, PhaseSpec]) -> str:
    """The module that holds the phase's pipeline."""
    return phase[0]


@pytest.fixture(scope="module")
def spec(phase: tuple[str, PhaseSpec]) -> PhaseSpec:
    return phase[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, spec: PhaseSpec) -> Path:
    home = tmp_path_factory.mktemp(spec.name) / "home"
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def inputs(spec: PhaseSpec, home: Path) -> list[ArtifactRef]:
    return examples.inputs_for(spec, home)


@pytest.fixture(scope="module")
def service(spec: PhaseSpec, home: Path, pipeline: str) -> Service:
    return phase_service(spec.name, home, pipeline)


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[PhaseClient]:
    with running(service) as client:
        yield client


@pytest.fixture
def example(spec: PhaseSpec) -> examples.Example:
    return examples.example(spec.name)
