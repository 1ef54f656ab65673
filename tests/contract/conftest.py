"""One running service per phase for the tests that only ask; tests that kill start their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentforge.client import PhaseClient
from agentforge.kit.phase import PIPELINE_VARIABLE, PhaseSpec
from agentforge.kit.refs import ArtifactRef
from tests.contract import examples
from tests.harness import TEST_PIPELINE, Service, phase_service, running


def pipeline() -> str:
    import os

    return os.environ.setdefault(PIPELINE_VARIABLE, TEST_PIPELINE)


pipeline()


@pytest.fixture(scope="module", params=[spec.name for spec in examples.phases()])
def spec(request: pytest.FixtureRequest) -> PhaseSpec:
    return next(s for s in examples.phases() if s.name == request.param)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, spec: PhaseSpec) -> Path:
    home = tmp_path_factory.mktemp(spec.name) / "home"
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def inputs(spec: PhaseSpec, home: Path) -> list[ArtifactRef]:
    return examples.inputs_for(spec, home)


@pytest.fixture(scope="module")
def service(spec: PhaseSpec, home: Path) -> Service:
    return phase_service(spec.name, home, pipeline())


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[PhaseClient]:
    with running(service) as client:
        yield client


@pytest.fixture
def example(spec: PhaseSpec) -> examples.Example:
    return examples.example(spec.name)
