"""`agentforge eval --lm-eval`: lm-eval's own harness, on a task file that needs no network."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentforge.data.generate import ItemStream
from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput, MissingTool, RunFailed
from agentforge.train.harness import Harness
from agentforge.train.loading import load_model
from tests.unit.cli.program import Program
from tests.unit.cli.test_chat import small_llama

_TASK = """\
task: sums_of_ours
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{prompt}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list:
  - metric: acc
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Five held-out sums, with the right answer and a wrong one to choose from; the model will know three."""
    directory = tmp_path / "tasks"
    directory.mkdir()
    rows = [
        {"prompt": item.prompt, "choices": ["7", item.answer], "answer": 1}
        for item in ItemStream("arithmetic", Split.TEST, 0).distinct(5)
    ]
    data = directory / "sums.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    (directory / "sums.yaml").write_text(_TASK.format(data=data))
    return directory


def test_the_harness_finds_what_the_model_was_taught(forge: Program, tasks: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    asked = ItemStream("arithmetic", Split.TEST, 0).distinct(5)
    taught = [replace(item, answer="7") if place in (1, 3) else item for place, item in enumerate(asked)]
    model = small_llama(tmp_path / "model", taught, steps=100)
    forge.environment |= {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    done = forge(
        "eval", model, "--family", "arithmetic", "--items", "5", "--json",
        "--lm-eval", "sums_of_ours", "--lm-eval-path", tasks,
    )  # fmt: skip
    assert done.code == 0, done
    report = json.loads(done.out)
    found = report["lm_eval"]["tasks"]["sums_of_ours"]
    assert found["acc,none"] == report["families"]["arithmetic"]["accuracy"] == 0.6
    assert (found["n"], found["shots"]) == (5, 0)
    assert report["lm_eval"]["version"]


def test_a_task_that_is_none_and_data_out_of_reach_are_told(tasks: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    with pytest.raises(InvalidInput, match="no task 'sums_of_yours'"):
        Harness(["sums_of_ours", "sums_of_yours"], tasks)
    (tasks / "sums.jsonl").unlink()
    with pytest.raises(RunFailed, match="sums_of_ours"):
        Harness(["sums_of_ours"], tasks).run(load_model(small_llama(tmp_path / "model")))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingTool, match=r"'lm_eval'.*pip install 'agentforge\[lm-eval\]'"):
        Harness(["hellaswag"])
