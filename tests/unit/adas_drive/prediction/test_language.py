import numpy as np
import pytest
import torch

from agentforge.phase7_adas.drive.agent import Moving
from agentforge.phase7_adas.drive.prediction import motion_lm
from agentforge.phase7_adas.drive.prediction.agent import Prediction
from agentforge.phase7_adas.drive.prediction.context import SIZES, STARTS, VOCABULARY, WORDS, words
from agentforge.phase7_adas.drive.prediction.data import held_out
from agentforge.phase7_adas.drive.prediction.places import place
from agentforge.phase7_adas.drive.prediction.rollout import MotionLM, draws
from agentforge.phase7_adas.drive.prediction.speaking import gathered
from agentforge.phase7_adas.drive.prediction.tokens import MOTIONS, TOKENS
from agentforge.phase7_adas.drive.truth import Ints
from tests.unit.adas_drive.prediction.test_imm import BENT, in_lane, oncoming, tracks


def some(many: int) -> Ints:
    rng = np.random.default_rng(0)
    told = STARTS + np.stack([rng.integers(0, size, many) for size in SIZES], axis=1)
    return np.concatenate([told, rng.integers(0, MOTIONS, (many, TOKENS))], axis=1)


@pytest.fixture(scope="module")
def trained() -> MotionLM:
    """Two steps: not good, but no longer what it began with."""
    model = motion_lm.train(some(64), 3, steps=2)
    return MotionLM({name: value.numpy() for name, value in model.state_dict().items()})


def test_numpy_says_what_torch_says() -> None:
    model, rows = motion_lm.make(1), some(6)
    ours = MotionLM({name: value.numpy() for name, value in model.state_dict().items()}).logits(rows)
    with torch.no_grad():
        theirs = model(input_ids=torch.from_numpy(rows)).logits.numpy()[..., :MOTIONS]
    assert np.abs(ours - theirs).max() < 1e-5


def test_rollouts_with_shared_words_are_those_of_the_whole_sequence(trained: MotionLM) -> None:
    told, drawn = some(3)[:, :WORDS], draws(5)
    tokens = trained.sample(told, drawn)
    for track, rollout in [(0, 0), (2, 4)]:
        whole = np.concatenate([told[track], tokens[track, rollout]])[None]
        logits = trained.logits(whole)[0].astype(np.float64)
        for at in range(TOKENS):
            weight = np.cumsum(np.exp(logits[WORDS - 1 + at]))
            token, draw = tokens[track, rollout, at], drawn[rollout, at]
            below = weight[token - 1] / weight[-1] if token else 0.0
            assert below - 1e-4 <= draw <= weight[token] / weight[-1] + 1e-4


def test_training_is_the_same_twice_and_learns() -> None:
    losses: list[float] = []
    rows = np.repeat(some(4), 16, axis=0)
    one = motion_lm.train(rows, 5, steps=30, watch=lambda _, loss: losses.append(loss))
    two = motion_lm.train(rows, 5, steps=30)
    assert losses[-1] < losses[0] - 0.5
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_it_foresees_in_the_pipelines_form(trained: MotionLM) -> None:
    agent = Prediction("lm", trained)
    mean = np.concatenate([in_lane(0.0), oncoming(0.0)])
    told = agent.step(Moving(tracks(0, mean), BENT))
    again = Prediction("lm", trained).step(Moving(tracks(0, mean), BENT))
    assert told.xy_NKT2.shape[2:] == (20, 2)
    assert told.probability_NK.sum(axis=1) == pytest.approx(1.0)
    assert np.isfinite(told.xy_NKT2).all()
    assert (told.sigma_NKT > 0).all()
    assert told.xy_NKT2.tobytes() == again.xy_NKT2.tobytes()
    assert len(agent.step(Moving(tracks(50_000, np.zeros((0, 4))), BENT)).id_N) == 0


def test_words_are_of_their_own_vocabularies() -> None:
    rng = np.random.default_rng(1)
    mean = rng.normal(0, 1, (50, 4)) * [200, 20, 20, 20]
    told = tracks(0, mean)
    places = place(told.mean_N4, told.size_N3, told.kind_N, BENT)
    found = words(places, told.kind_N, rng.normal(0, 5, (50, 2)), BENT)
    ends = [*STARTS[1:], VOCABULARY]
    assert ((found >= STARTS) & (found < np.array(ends))).all()


def test_modes_are_where_the_rollouts_are() -> None:
    rng = np.random.default_rng(2)
    ends = np.array([[30.0, 0.0], [10.0, 0.0], [30.0, 3.5]])
    picked = np.repeat([0, 1, 2], [12, 6, 6])
    line = ends[picked][:, None] * np.linspace(0.125, 1, TOKENS)[None, :, None] + rng.normal(
        0, 0.05, (24, TOKENS, 2)
    )
    modes, probability, _ = gathered(line[None])
    for at, part in enumerate([0.5, 0.25, 0.25]):
        near = np.linalg.norm(modes[0, :, -1] - ends[at], axis=1) < 0.5
        assert probability[0, near].sum() == pytest.approx(part)


def test_the_split_is_by_scene_and_keeps_a_quarter() -> None:
    out = [held_out(seed) for seed in range(2000)]
    assert 0.2 < np.mean(out) < 0.3
    assert out == [held_out(seed) for seed in range(2000)]
