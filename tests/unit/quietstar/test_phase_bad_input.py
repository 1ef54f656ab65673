"""What cannot be taught to think is refused: by a service without torch where files tell it, else when it shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentforge.client import PhaseClient
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.data.tokenizer import THOUGHT_CLOSE, THOUGHT_OPEN
from agentforge.kit.errors import ForgeError, RunFailed
from agentforge.kit.refs import ArtifactRef
from agentforge.models.thoughts.room import LARGEST_VOCABULARY
from agentforge.phase3_quietstar.config import PHASE
from tests import pico
from tests.harness import Service, phase_service, running
from tests.refusals import refused
from tests.unit.quietstar.phases import ask, small
from tests.unit.quietstar.test_admission import words


def with_tokenizer(change: Callable[[Path], object]) -> Callable[[Path], object]:
    def make(place: Path) -> None:
        pico.save(pico.llama(), place)
        change(place)

    return make


def nothing(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "notes.txt").write_text("no model")


MAKERS: dict[str, Callable[[Path], object]] = {
    "sound": pico.branch,
    "llama": lambda place: pico.save(pico.llama(), place),
    "taken": with_tokenizer(words(THOUGHT_OPEN)),
    "ends-texts": with_tokenizer(words(THOUGHT_CLOSE, special=(THOUGHT_CLOSE,), eos_token=THOUGHT_CLOSE)),
    "full": with_tokenizer(words(count=LARGEST_VOCABULARY)),
    "nothing": nothing,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("bad") / "home"
    for name, make in MAKERS.items():
        make(home / "mine" / name)
    return home


@pytest.fixture(scope="module")
def service(home: Path) -> Service:
    return phase_service(PHASE.name, home, "agentforge.pipeline")


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[PhaseClient]:
    with running(service) as client:
        yield client


def refs(name: str) -> list[ArtifactRef]:
    return [ArtifactRef("model", "model", f"mine/{name}", "")]


SETTINGS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"data": {"families": {"poetry": []}, "worked": []}}, "data.families", "INVALID_VALUE", "poetry"),
    ({"data": {"families": {}, "worked": []}}, "data.families", "INVALID_VALUE", "at least one family"),
    ({"data": {"families": {"nested": [99]}}}, "data.families", "INVALID_VALUE", "99"),
    ({"data": {"worked": ["recall"]}}, "data.worked", "INVALID_VALUE", "recall has no worked steps"),
    ({"data": {"worked": ["nested", "nested"]}}, "data.worked", "INVALID_VALUE", "twice"),
    ({"data": {"worked": ["arithmetic"]}}, "data.worked", "INVALID_VALUE", "no family of this run"),
    ({"sampling": {"thoughts": 1}}, "sampling.thoughts", "INVALID_VALUE", "has no reward"),
    ({"sampling": {"thoughts": 17}}, "sampling.thoughts", "INVALID_VALUE", "16"),
    ({"sampling": {"length": 65}}, "sampling.length", "INVALID_VALUE", "64"),
    ({"sampling": {"length": 0}}, "sampling.length", "INVALID_VALUE", "1"),
    ({"sampling": {"top_p": 0}}, "sampling.top_p", "INVALID_VALUE", "0"),
    ({"sampling": {"temperature": math.nan}}, "sampling.temperature", "NOT_FINITE", ""),
    ({"sampling": {"temprature": 1}}, "sampling.temprature", "UNKNOWN_FIELD", ""),
    ({"injection": {"entropy": 0}}, "injection", "INVALID_VALUE", "nothing would say what is hard"),
    ({"injection": {"loss": -1}}, "injection.loss", "INVALID_VALUE", ""),
    ({"injection": {"budget": 0}}, "injection.budget", "INVALID_VALUE", ""),
    ({"ahead": 0}, "ahead", "INVALID_VALUE", ""),
    ({"first_alpha": 1}, "first_alpha", "INVALID_VALUE", ""),
    ({"coherence": {"threshold": 1.5}}, "coherence.threshold", "INVALID_VALUE", ""),
    ({"loss": {"reinforce": math.inf}}, "loss.reinforce", "NOT_FINITE", ""),
    ({"loss": {"text": 1e308, "bounds": 1e308}}, "", "INVALID_VALUE", "too large for a number"),
    ({"loss": {"divergence_ceiling": -0.1}}, "loss.divergence_ceiling", "INVALID_VALUE", ""),
    ({"worked": {"threads": 1}, "thinking": {"threads": 2}}, "thinking.threads", "INVALID_VALUE", "same threads"),
    ({"evaluation": {"items": 9}}, "evaluation.items", "INVALID_VALUE", ""),
    ({"keep": "worst"}, "keep", "INVALID_VALUE", ""),
    ({"samples": 0}, "samples", "INVALID_VALUE", ""),
]


@pytest.mark.parametrize(("changes", "field", "reason", "named"), SETTINGS)
def test_settings(
    client: PhaseClient, home: Path, changes: dict[str, Any], field: str, reason: str, named: str
) -> None:
    found = refused(client, home, small(**changes), refs("sound"))
    assert (found.field, found.reason) == (field, reason)
    assert named in found.message


MODELS: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("taken", {}, "inputs.model", "THOUGHT_TOKEN_TAKEN", THOUGHT_OPEN),
    ("ends-texts", {}, "inputs.model", "THOUGHT_TOKEN_TAKEN", THOUGHT_CLOSE),
    ("full", {}, "inputs.model", "VOCABULARY_FULL", "65,536 tokens of 65,536"),
    ("nothing", {}, "inputs.model", "NOT_A_MODEL", ""),
    ("sound", {"data": {"length": 13}}, "sampling.length", "SEQUENCE_TOO_SHORT", "shorter than one thought"),
    ("sound", {"sampling": {"length": 46}, "data": {"length": 64}}, "sampling.length", "THOUGHT_TOO_LONG", "48"),
    ("llama", {"data": {"length": 49}}, "data.length", "SEQUENCE_TOO_LONG", "the model has 64"),
]


@pytest.mark.parametrize(("name", "changes", "field", "reason", "named"), MODELS)
def test_models(
    client: PhaseClient, home: Path, name: str, changes: dict[str, Any], field: str, reason: str, named: str
) -> None:
    found = refused(client, home, small(**changes), refs(name))
    assert (found.field, found.reason) == (field, reason)
    assert named in found.message


def test_what_is_well_is_taken_and_none_of_it_needed_torch(client: PhaseClient, service: Service) -> None:
    for name in ("sound", "llama"):
        assert not client.validate(small(), inputs=refs(name), check_inputs=True).violations
    assert "libtorch" not in Path(f"/proc/{service.pid}/maps").read_text()


def fails(volume: Path, run_id: str, model: str, **changes: Any) -> ForgeError:
    run = ask(volume, run_id, model, **changes)
    with pytest.raises(ForgeError) as caught:
        run.go()
    assert not run.output.exists()
    return caught.value


@pytest.mark.parametrize(
    ("changes", "reason", "field", "named"),
    [
        ({"sampling": {"length": 11}}, "THOUGHT_TOO_LONG", "sampling.length", "nested_steps: the steps have 12"),
        ({"data": {"length": 20}}, "ITEM_TOO_LONG", "", "nested"),
    ],
)
def test_rows_that_do_not_fit_are_told_before_a_step(
    volume: Path, changes: dict[str, Any], reason: str, field: str, named: str
) -> None:
    run = ask(volume, f"long-{reason.lower()}", "llama", **changes)
    with pytest.raises(ForgeError) as caught:
        run.go()
    error = caught.value
    assert not run.heard, "not even one step"
    assert error.reason == reason
    assert field in error.field
    assert named in error.message


def test_a_split_without_items_is_told_before_a_step(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few difficulties have so few items; those of four have some in every split."""
    original = ItemStream.distinct

    def distinct(self: ItemStream, count: int, **options: bool) -> list[Item]:
        return [] if self.split is Split.TEST else original(self, count, **options)

    monkeypatch.setattr(ItemStream, "distinct", distinct)
    run = ask(volume, "few", "llama")
    with pytest.raises(ForgeError, match="nested has no item in the test split") as caught:
        run.go()
    assert (caught.value.reason, caught.value.field) == ("SPLIT_EMPTY", "data.families.nested")
    assert not run.heard


def test_thoughts_that_are_all_filtered_out_end_the_run(volume: Path) -> None:
    strict = {"coherence": {"filter": True, "threshold": 1.0}, "data": {"worked": []}, "sampling": {"length": 2}}
    error = fails(volume, "filtered", "llama", thinking={"steps": 21, "batch": 2}, **strict)
    assert isinstance(error, RunFailed)
    assert (error.reason, error.field) == ("ALL_THOUGHTS_FILTERED", "coherence.threshold")


def test_rewards_that_are_no_numbers_end_the_run(volume: Path) -> None:
    """Of a thinker whose mixing head holds numbers so large that products of them are none."""
    from safetensors.torch import load_file, save_file

    made = ask(volume, "to-be-spoiled", "llama", keep="thinking", data={"worked": []}).go().output
    head = load_file(made / "mixing_head.safetensors")
    head["inner.weight"].fill_(3e38)
    place = volume / "mine" / "spoiled-head"
    place.mkdir()
    for file in made.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    save_file(head, place / "mixing_head.safetensors", {"format": "pt"})
    error = fails(volume, "no-numbers", "spoiled-head", data={"worked": []})
    assert (error.reason, error.field) == ("REWARD_NOT_FINITE", "reward")


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        ("quietstar.json", lambda content: content[:-9], "BROKEN_FILE"),
        ("mixing_head.safetensors", lambda content: content[:40], "BROKEN_FILE"),
        ("quietstar.json", lambda content: content.replace(b'"end":13', b'"end":14'), "TOKENIZER_MISMATCH"),
    ],
)
def test_a_thinker_with_broken_files_is_named(
    volume: Path, tmp_path: Path, file: str, change: Callable[[bytes], bytes], reason: str
) -> None:
    """Not taken for a model that never thought."""
    import torch

    from agentforge.models.thoughts.sampling import Sampling
    from agentforge.models.thoughts.saving import save_thinker
    from agentforge.models.thoughts.thinker import Habits, Thinker
    from agentforge.models.thoughts.tokens import find_marks

    torch.manual_seed(0)
    model = pico.llama()
    place = pico.save(model, volume / "mine" / f"broken-{reason}-{file}")
    save_thinker(place, Thinker(model, find_marks(pico.tokenizer()), Habits(Sampling(2, 4))), {})
    content = (place / file).read_bytes()
    assert change(content) != content
    (place / file).write_bytes(change(content))
    error = fails(volume, f"broken-{reason.lower()}-{file}", place.name)
    assert error.reason == reason
    assert error.field.startswith("inputs.model: ")


def test_config_files_of_a_spiteful_user(client: PhaseClient, home: Path) -> None:
    """Nothing of it hangs, crashes the service or starts a run."""
    ideas: list[Any] = [
        {"data": {"families": ["nested"]}}, {"data": {"families": {"nested": "2"}}}, {"data": None},
        {"data": {"families": {"nested": [2] * 3, "../recall": []}}}, {"thinking": {"steps": 10**30}},
        {"sampling": {"length": "32"}}, {"sampling": []}, {"evaluation": {"items": 1e99}}, {"ahead": True},
        {"worked": {"steps": 5, "warmup": 5}}, {"injection": {"interval": 10**7}}, {"data": {"length": 10**9}},
    ]  # fmt: skip
    for idea in ideas:
        violations = client.validate(idea, inputs=refs("sound"), check_inputs=True).violations
        assert violations, idea
        assert all(each.field and each.reason and each.message for each in violations)
    assert not (home / "runs").exists()
