"""Fields of a form out of a schema, and a config out of a filled form."""

from __future__ import annotations

from typing import Literal

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pydantic import BaseModel, Field

from agentforge.kit.config import validate_config
from agentforge.kit.phase import load_pipeline
from agentforge_gateway.dash.forms import Field as Shown
from agentforge_gateway.dash.forms import groups_of, overrides


class Train(BaseModel):
    steps: int = Field(10, ge=1, le=100, description="Steps of training.")
    schedule: Literal["cosine", "constant"] = "cosine"
    lr: float | None = Field(None, gt=0)


class Config(BaseModel):
    seed: int = 42
    on: bool = True
    sizes: list[int] = [1, 2]
    train: Train = Train()
    search: Train | None = None


def by_path(preset: dict[str, object]) -> dict[str, Shown]:
    struct = ParseDict(Config.model_json_schema(), Struct())  # as it comes by gRPC: every number a double
    groups = groups_of(MessageToDict(struct), preset)
    return {field.path: field for group in groups for field in group.fields}


def test_fields_say_what_the_preset_has_and_what_is_allowed() -> None:
    found = by_path({"train": {"steps": 7.0}})
    assert found["train.steps"].preset == "7"
    assert found["train.steps"].hint == "Steps of training; at least 1, at most 100"
    assert found["seed"].preset == "42"
    assert found["sizes"].preset == "[1, 2]"
    assert found["on"].choices == ("true", "false")
    assert found["train.schedule"].choices == ("cosine", "constant")
    assert found["train.lr"].preset == "null"
    assert "above 0" in found["train.lr"].hint
    assert "null for none" in found["train.lr"].hint


def test_groups_begin_with_the_phase_itself_and_with_what_the_preset_sets() -> None:
    groups = groups_of(Config.model_json_schema(), {"train": {"schedule": "constant"}})
    assert groups[0].name == ""
    train = next(group for group in groups if group.name == "train")
    assert train.fields[0].path == "train.schedule"


def test_a_filled_form_is_a_config() -> None:
    config, wrong = overrides({"a.train.steps": "3", "a.sizes": "[3, 4]", "b.name": "null", "b.empty": "  "})
    assert config == {"a": {"train": {"steps": 3}, "sizes": [3, 4]}, "b": {"name": None}}
    assert not wrong


def test_what_is_no_value_is_named() -> None:
    config, (wrong,) = overrides({"a.sizes": "[3,", "a.seed": "1"})
    assert (wrong.field, wrong.reason) == ("a.sizes", "INVALID_VALUE")
    assert config == {"a": {"seed": 1}}


def test_two_fields_of_which_one_holds_the_other_are_refused_not_mixed() -> None:
    _, wrong = overrides({"a.search": "null", "a.search.trials": "3"})
    assert [one.field for one in wrong] == ["a.search.trials"]


@pytest.mark.parametrize("name", load_pipeline().names)
def test_every_phase_has_a_form_whose_empty_fields_mean_what_they_show(name: str) -> None:
    spec = load_pipeline().spec(name)
    schema = MessageToDict(ParseDict(spec.config.model_json_schema(), Struct()))
    groups = groups_of(schema, load_pipeline().preset("tiny", name))
    fields = [field for group in groups for field in group.fields]
    assert len({field.path for field in fields}) == len(fields) > 5
    # Filling in what is shown changes nothing.
    # (Training's default of data.quality differs from QualityConfig's own in `duplicates`.)
    shown = {f"{name}.{f.path}": f.preset for f in fields if f.preset and not f.path.startswith("data.quality.")}
    config, wrong = overrides(shown)
    assert not wrong
    assert validate_config(spec.config, config[name]) == validate_config(
        spec.config, load_pipeline().preset("tiny", name)
    )
