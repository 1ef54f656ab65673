"""The static check against the corpus: each bad file is refused with its node, its rule and a way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from agentforge.edge.rules import RESULT, check_tensorrt, require_tensorrt, table
from agentforge.kit.errors import DataLoss, InvalidInput, NotFound
from tests.unit.edge_rules.corpus import BAD, GOOD, Case, feed, run, saved


def test_the_corpus_is_large_enough_and_names_are_unique() -> None:
    names = [case.name for case in (*GOOD, *BAD)]
    assert len(names) == len(set(names)) >= 40


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_good_file_passes_and_runs(case: Case, tmp_path: Path) -> None:
    assert check_tensorrt(saved(case, tmp_path / "m.onnx")) == []
    model = case.model()
    assert len(run(model, feed(model))) == len(model.graph.output)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_file_is_refused(case: Case, tmp_path: Path) -> None:
    found = check_tensorrt(saved(case, tmp_path / "m.onnx"))
    assert {each.rule for each in found} == set(case.rules)
    first = [each for each in found if each.rule == case.rules[0]]
    assert not case.node or case.node in {each.node for each in first}
    assert all(each.message and each.next_step.endswith(".") for each in found)


def test_all_findings_come_in_one_error(tmp_path: Path) -> None:
    case = Case("several", "(int64[b] x) => (float[c,d] y) { f = Cast<to = 1>(x) y = Hardmax(f) }")
    with pytest.raises(InvalidInput) as caught:
        require_tensorrt(saved(case, tmp_path / "m.onnx"))
    assert [each.reason for each in caught.value.violations] == ["WIDE_IO", "UNSUPPORTED_OP"]
    assert caught.value.violations[1].field == "n1"


def test_a_clean_file_is_called_what_it_is(tmp_path: Path) -> None:
    assert require_tensorrt(saved(GOOD[0], tmp_path / "m.onnx")) == RESULT == "static check against the 8.5 table"


def test_the_module_is_told() -> None:
    model = next(case for case in BAD if case.name == "is_inf").model()
    model.graph.node[0].metadata_props.add(key="module", value="layers.3.attention")
    (found,) = check_tensorrt(model)
    assert found.module == "layers.3.attention"
    assert "layers.3.attention" in found.violation().message
    del model.graph.node[0].metadata_props[:]
    model.graph.node[0].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'layers.3', 'isinf']")
    assert check_tensorrt(model)[0].module == "layers.3"


@pytest.mark.parametrize("content", [b"", b"not an onnx file at all", None], ids=["empty", "text", "torn"])
def test_a_damaged_file_is_data_loss(content: bytes | None, tmp_path: Path) -> None:
    path = saved(GOOD[1], tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-7] if content is None else content)
    with pytest.raises(DataLoss) as caught:
        check_tensorrt(path)
    assert caught.value.reason == "NOT_ONNX"
    assert caught.value.next_step


def test_damage_anywhere_is_an_answer_and_no_crash(tmp_path: Path) -> None:
    """Each byte in turn: the file is still ONNX and is checked, or it is refused as damaged."""
    path, answers = tmp_path / "m.onnx", 0
    whole = next(case for case in GOOD if case.name == "branches").model().SerializeToString()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        try:
            check_tensorrt(path)
            answers += 1
        except DataLoss:
            pass
    assert 0 < answers < len(whole)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        require_tensorrt(tmp_path / "none.onnx")


def test_weights_beside_the_file(tmp_path: Path) -> None:
    """There, they are read; cut short or outside of the folder, they are refused."""
    model = next(case for case in GOOD if case.name == "embedding").model()
    path = tmp_path / "m.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    assert check_tensorrt(path) == []
    (tmp_path / "w.bin").write_bytes(b"12")
    assert [each.rule for each in check_tensorrt(path)] == ["external-data"]
    outside = onnx.load(str(path), load_external_data=False)
    outside.graph.initializer[0].external_data[0].value = "../w.bin"
    path.write_bytes(outside.SerializeToString())
    assert "not below" in check_tensorrt(path)[0].message


SHAPES = ((1, 4), (2, 4), (8, 4))


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ({"x": SHAPES}, ""),
        ({}, "no shapes"),
        ({"x": SHAPES, "z": SHAPES}, "no such input"),
        ({"x": ((1, 4), (9, 4), (8, 4))}, "does not rise"),
        ({"x": ((1, 3), (2, 4), (8, 4))}, "always 4"),
        ({"x": ((1,), (2,), (8,))}, "2 dimensions"),
    ],
)
def test_profiles(profile: dict[str, Any], said: str) -> None:
    found = check_tensorrt(GOOD[0].model(), {"decode": profile})
    assert [said in each.message for each in found] == ([True] if said else [])


def test_one_name_is_one_size_in_a_profile() -> None:
    model = next(case for case in GOOD if case.name == "softmax_attention").model()
    keys = ((2, 0, 4), (2, 8, 4), (4, 16, 4))
    (found,) = check_tensorrt(model, {"decode": {"q": ((1, 1, 4), (1, 1, 4), (1, 1, 4)), "k": keys}})
    assert "'b'" in found.message
    assert found.rule == "profile"


def test_the_table() -> None:
    """Each operator of it exists at opset 17, and each way out is for one that it has not."""
    for op in table.TYPES:
        onnx.defs.get_schema(op, table.OPSET, "")
    assert not set(table.WAYS_OUT) & set(table.TYPES)
    assert not any(map(table.supported, ("LayerNormalization", "IsInf", "QLinearMatMul", "STFT", "HammingWindow")))
