"""What is known to be bad is refused before a run exists: by field or file, with a way out, and nothing is left."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentforge.client import PhaseClient
from agentforge.kit.errors import ForgeError
from agentforge.kit.refs import ArtifactRef
from tests.harness import Service, phase_service, running
from tests.unit.cognate.corpora import BAD, good_text

PIPELINE = "agentforge.pipeline"
TINY = {"size": "tiny"}  # window 32, three layers


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad") / "home"


@pytest.fixture(scope="module")
def service(home: Path) -> Service:
    return phase_service("cognate", home, PIPELINE)


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[PhaseClient]:
    with running(service) as client:
        yield client


def train(**fields: Any) -> dict[str, Any]:
    return {"trunk": {"train": fields}}


def mix(**weights: float) -> dict[str, Any]:
    return {"trunk": {"mix": weights}}


SETTINGS: list[tuple[dict[str, Any], str, str]] = [
    ({"model": TINY}, "data.text_length", "fine"),
    ({"model": {**TINY, "memory": False}}, "data.text_length", "SEQUENCE_TOO_LONG"),
    ({"model": {**TINY, "memory": False}, "data": {"text_length": 32}}, "data.task_length", "SEQUENCE_TOO_LONG"),
    ({"model": {**TINY, "memory_chunk": 64}}, "model.memory_chunk", "BAD_MODEL"),
    ({"model": {**TINY, "memory_layers": [7]}}, "model.memory_layers", "BAD_MODEL"),
    ({"model": {**TINY, "memory_layers": [-1]}}, "model.memory_layers", "BAD_MODEL"),
    ({"model": {**TINY, "memory_layers": [1, 1]}}, "model.memory_layers", "BAD_MODEL"),
    ({"model": {**TINY, "memory_layers": []}}, "model.memory_layers", "BAD_MODEL"),
    ({"model": {**TINY, "num_hidden_layers": 1}}, "model.memory_layers", "BAD_MODEL"),
    ({"model": {**TINY, "act_steps_infer": 4}}, "model.act_steps_infer", "BAD_MODEL"),
    ({"model": {**TINY, "num_hidden_layers": 10**9}}, "model.num_hidden_layers", "INVALID_VALUE"),
    ({"model": {"size": "huge"}}, "model.size", "INVALID_VALUE"),
    ({"model": {"layers": 3}}, "model.layers", "UNKNOWN_FIELD"),
    ({"data": {"difficulties": {"nested": [99]}}}, "data.difficulties", "INVALID_VALUE"),
    ({"data": {"difficulties": {"nested": [0]}}}, "data.difficulties", "INVALID_VALUE"),
    ({"data": {"difficulties": {"nested": []}}}, "data.difficulties", "INVALID_VALUE"),
    ({"data": {"difficulties": {"poetry": [1]}}}, "data.difficulties", "INVALID_VALUE"),
    ({"data": {"vocabulary": 279}}, "data.vocabulary", "INVALID_VALUE"),
    ({"data": {"vocabulary": 10**12}}, "data.vocabulary", "INVALID_VALUE"),
    ({"data": {"text_length": 10**9}}, "data.text_length", "INVALID_VALUE"),
    ({"evaluation": {"items": 0}}, "evaluation.items", "INVALID_VALUE"),
    (mix(arithmetic=0.0, text=0.0), "trunk.mix", "INVALID_VALUE"),
    (mix(arithmetic=math.nan), "trunk.mix.arithmetic", "NOT_FINITE"),
    (mix(arithmetic=math.inf), "trunk.mix.arithmetic", "NOT_FINITE"),
    (mix(arithmetic=1e308, text=1e308), "trunk.mix", "INVALID_VALUE"),
    (mix(arithmetic=-1.0), "trunk.mix", "INVALID_VALUE"),
    (mix(poetry=1.0), "trunk.mix", "INVALID_VALUE"),
    (train(steps=10**18), "trunk.train.steps", "INVALID_VALUE"),
    (train(steps=0), "trunk.train.steps", "INVALID_VALUE"),
    (train(steps=1.5), "trunk.train.steps", "INVALID_VALUE"),
    (train(steps="many"), "trunk.train.steps", "INVALID_VALUE"),
    (train(batch=10**12), "trunk.train.batch", "INVALID_VALUE"),
    (train(lr=0), "trunk.train.lr", "INVALID_VALUE"),
    (train(lr=-1e-3), "trunk.train.lr", "INVALID_VALUE"),
    (train(lr=math.nan), "trunk.train.lr", "NOT_FINITE"),
    (train(warmup=1_000, steps=1_000), "trunk.train", "INVALID_VALUE"),
    ({"seed": -1}, "seed", "INVALID_VALUE"),
    ({"seed": 2**53}, "seed", "INVALID_VALUE"),
    ({"reasoning": {"seed": -1}}, "reasoning.seed", "INVALID_VALUE"),
    ({"reasoning": {"family": "recall"}}, "memory_integration.family", "INVALID_VALUE"),
]


@pytest.mark.parametrize(("values", "field", "reason"), SETTINGS[1:])
def test_settings(client: PhaseClient, home: Path, values: dict[str, Any], field: str, reason: str) -> None:
    answer = client.validate(values)
    assert [(each.field, each.reason) for each in answer.violations] == [(field, reason)], answer
    assert field in answer.violations[0].message
    with pytest.raises(ForgeError) as caught:
        client.start("refused", values)
    assert (caught.value.exit_code, caught.value.reason, caught.value.field) == (2, reason, field)
    assert not (home / "runs").exists()


def test_with_a_memory_rows_may_be_longer_than_the_window(client: PhaseClient) -> None:
    assert not client.validate(SETTINGS[0][0]).violations


@pytest.mark.parametrize("name", sorted(BAD))
def test_corpora(client: PhaseClient, home: Path, name: str) -> None:
    make, reason, named = BAD[name]
    place = home / "mine" / name.replace(" ", "-")
    place.mkdir(parents=True)
    make(place)
    corpus = [ArtifactRef("corpus", "corpus", place.relative_to(home).as_posix(), "")]
    answer = client.validate({}, inputs=corpus, preset="tiny", check_inputs=True)
    assert {each.reason for each in answer.violations} == {reason}, answer
    with pytest.raises(ForgeError) as caught:
        client.start("refused", {}, corpus, preset="tiny")
    assert (caught.value.exit_code, caught.value.reason) == (2, reason)
    assert named in caught.value.message
    assert caught.value.field.startswith("inputs.corpus") or caught.value.field in caught.value.message
    assert caught.value.next_step
    assert not (home / "runs").exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("mine/absent", "ARTIFACT_NOT_FOUND"),
        ("../outside", "PATH_OUTSIDE_VOLUME"),
        ("/etc", "PATH_OUTSIDE_VOLUME"),
        ("linked", "SYMLINK"),
        ("linked/passwd", "SYMLINK"),
    ],
)
def test_places(client: PhaseClient, home: Path, path: str, reason: str) -> None:
    if not (home / "linked").is_symlink():
        (home / "linked").symlink_to("/etc")
    corpus = [ArtifactRef("corpus", "corpus", path, "")]
    answer = client.validate({}, inputs=corpus, preset="tiny", check_inputs=True)
    assert [each.reason for each in answer.violations] == [reason]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_good_text_passes_however_its_lines_end(client: PhaseClient, home: Path, end: str) -> None:
    """Also with a byte order mark and without a last line's end."""
    place = home / "mine" / f"good-{len(end)}"
    place.mkdir(parents=True)
    (place / "a.txt").write_bytes(b"\xef\xbb\xbf" + good_text().replace("\n", end).encode())
    corpus = [ArtifactRef("corpus", "corpus", place.relative_to(home).as_posix(), "")]
    assert not client.validate({}, inputs=corpus, preset="tiny", check_inputs=True).violations


def test_none_of_it_needed_torch(client: PhaseClient, service: Service, home: Path) -> None:
    (home / "mine" / "text").mkdir(parents=True)
    (home / "mine" / "text" / "a.txt").write_text(good_text())
    corpus = [ArtifactRef("corpus", "corpus", "mine/text", "")]
    assert not client.validate({"model": TINY}, inputs=corpus, check_inputs=True).violations
    assert "libtorch" not in Path(f"/proc/{service.pid}/maps").read_text()
