from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agentforge.kit.errors import InvalidInput, RunFailed  # noqa: E402
from agentforge.phase7_adas.drive.perception import export  # noqa: E402
from agentforge.phase7_adas.drive.perception.net import Net  # noqa: E402
from agentforge.phase7_adas.drive.perception.remake import main  # noqa: E402
from agentforge.phase7_adas.drive.perception.training import Lessons, Recipe, lessons, train  # noqa: E402

TINY = Recipe(seed=3, scenes=2, steps=20, batch=1, rate=5e-3)


@pytest.fixture(scope="module")
def given() -> Lessons:
    return lessons(TINY)


def weights(net: Net) -> bytes:
    return b"".join(each.detach().numpy().tobytes() for each in net.parameters())


def test_the_loss_falls_and_the_same_seed_gives_the_same_bytes(given: Lessons) -> None:
    """And torch's own generator and threads stay as they were."""
    losses: list[float] = []
    torch.manual_seed(11)
    want, threads = torch.rand(3), torch.get_num_threads()
    net = train(TINY, lambda step, loss: losses.append(loss), given)
    assert np.mean(losses[-3:]) < 0.8 * losses[0]
    torch.manual_seed(11)
    assert weights(train(TINY, given=given)) == weights(net)
    assert torch.equal(torch.rand(3), want)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("wrong", [{"steps": 1}, {"scenes": 0}, {"batch": 0}, {"rate": float("nan")}])
def test_recipes_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="no recipe"):
        Recipe(**wrong)


def test_export_computes_what_torch_does_and_a_difference_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net().eval()
    made = export.exported(net)
    assert export.difference(net, made) < export.BOUND
    assert export.difference(Net().eval(), made) > export.BOUND
    monkeypatch.setattr(export, "BOUND", -1.0)
    with pytest.raises(RunFailed, match="off PyTorch"):
        export.exported(net)


@pytest.mark.slow
def test_remade_from_nothing_twice_is_the_same(tmp_path: Path) -> None:
    for name in ("one", "two"):
        main(["--out", str(tmp_path / name), "--scenes", "60", "--steps", "60", "--calibration", "20"])
    assert (tmp_path / "one/camera.onnx").read_bytes() == (tmp_path / "two/camera.onnx").read_bytes()
    assert (tmp_path / "one/confidence.json").read_bytes() == (tmp_path / "two/confidence.json").read_bytes()
