"""The exported rollout against the numpy one, and its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from agentforge.kit.errors import DataLoss, ForgeError, NotFound, RunFailed
from agentforge.phase7_adas.drive.agent import Moving
from agentforge.phase7_adas.drive.prediction.agent import Prediction
from agentforge.phase7_adas.drive.prediction.context import WORDS
from agentforge.phase7_adas.drive.prediction.export import SAME, agreement, exported, greatest, some_words
from agentforge.phase7_adas.drive.prediction.rollout import ROLLOUTS, MotionLM, draws
from agentforge.phase7_adas.drive.prediction.rollout import WEIGHTS as NPZ
from agentforge.phase7_adas.drive.prediction.speaker import WEIGHTS, Speaker
from agentforge.phase7_adas.drive.prediction.tokens import MOTIONS, TOKENS
from tests.unit.adas_drive.prediction.test_imm import BENT, in_lane, oncoming, tracks


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return Speaker.load()


@pytest.fixture(scope="module")
def model() -> MotionLM:
    return MotionLM.load()


def test_the_committed_file_says_what_numpy_says(model: MotionLM) -> None:
    assert agreement(model, WEIGHTS.read_bytes()) >= SAME


def test_it_is_of_the_committed_weights() -> None:
    import hashlib

    known = json.loads(WEIGHTS.with_suffix(".json").read_text())
    assert known["made_of"] == {"file": NPZ.name, "sha256": hashlib.sha256(NPZ.read_bytes()).hexdigest()}


def test_other_draws_are_other_tokens_and_still_numpy_s(speaker: Speaker, model: MotionLM) -> None:
    words, drawn = some_words(20), draws(ROLLOUTS)[:, ::-1].copy()
    tokens = speaker.sample(words, drawn)
    assert tokens.shape == (20, ROLLOUTS, TOKENS)
    assert (tokens >= 0).all()
    assert (tokens < MOTIONS).all()
    assert (tokens == model.sample(words, drawn)).mean() > 0.99
    assert (tokens != speaker.sample(words, draws(ROLLOUTS))).any()


def test_a_track_s_tokens_do_not_depend_on_who_else_is_told_of(speaker: Speaker) -> None:
    words, drawn = some_words(12), draws(ROLLOUTS)
    every = speaker.sample(words, drawn)
    alone = np.concatenate([speaker.sample(words[row : row + 1], drawn) for row in range(12)])
    assert (every == alone).mean() > 0.99
    assert speaker.sample(words, drawn).tobytes() == every.tobytes()


@pytest.mark.slow
def test_another_model_is_exported_as_itself(model: MotionLM) -> None:
    """Weights that were turned round: a file that always said the same would not agree."""
    other = MotionLM({name: np.flip(value, axis=0).copy() for name, value in model.weights.items()})
    assert agreement(other, exported(other)) >= SAME
    assert agreement(other, WEIGHTS.read_bytes()) < 0.9


def test_no_score_is_beyond_the_bound(model: MotionLM) -> None:
    words = some_words(50)
    tokens = np.concatenate([words, model.sample(words, draws(1))[:, 0]], axis=1)
    assert np.abs(model.logits(tokens)).max() <= greatest(model) < 80.0
    loud = {name: value * (30.0 if name.endswith("qkv.weight") else 1.0) for name, value in model.weights.items()}
    with pytest.raises(RunFailed, match="overflow"):
        exported(MotionLM(loud))


@pytest.mark.parametrize("broken", ["missing", "no json", "a byte"])
def test_a_file_that_is_not_what_its_json_says_is_refused(tmp_path: Path, broken: str) -> None:
    path = tmp_path / WEIGHTS.name
    for each in (WEIGHTS, WEIGHTS.with_suffix(".json")):
        shutil.copy(each, tmp_path)
    if broken == "a byte":
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    else:
        (path if broken == "missing" else path.with_suffix(".json")).unlink()
    with pytest.raises(ForgeError) as told:
        Speaker.load(path)
    wanted = (DataLoss, "MOTION_LM_DIGEST") if broken == "a byte" else (NotFound, "MOTION_LM_MISSING")
    assert (type(told.value), told.value.reason) == wanted


def test_both_foresee_alike_in_the_pipeline(speaker: Speaker, model: MotionLM) -> None:
    mean = np.concatenate([in_lane(0.0), oncoming(0.0)])
    ours, theirs = (Prediction("lm", each).step(Moving(tracks(0, mean), BENT)) for each in (speaker, model))
    assert ours.xy_NKT2.tobytes() == theirs.xy_NKT2.tobytes()
    assert ours.probability_NK.tobytes() == theirs.probability_NK.tobytes()


def test_words_of_another_shape_are_an_error(speaker: Speaker) -> None:
    with pytest.raises(Exception, match=r"(?i)invalid|dimension"):
        speaker.sample(np.zeros((2, WORDS + 1), dtype=np.int64), draws(ROLLOUTS))
