"""What is decided before W&B is touched."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from agentforge.cli.track import choose_tracking
from agentforge.kit.errors import FailedPrecondition, ForgeError, Unavailable
from agentforge.track import mode as modes
from agentforge.track.mode import Mode, check, decide


def test_off_unless_asked_for() -> None:
    assert decide("", {}) is Mode.DISABLED
    assert decide("", {"AGENTFORGE_WANDB": "Offline"}) is Mode.OFFLINE
    assert decide("online", {"AGENTFORGE_WANDB": "offline"}) is Mode.ONLINE
    assert decide("online", {"WANDB_MODE": "disabled"}) is Mode.DISABLED
    with pytest.raises(ForgeError, match="'yes'"):
        decide("", {"AGENTFORGE_WANDB": "yes"})


def test_online_wants_a_key(home: Path) -> None:
    pytest.importorskip("wandb")
    with pytest.raises(FailedPrecondition) as refused:
        check(Mode.ONLINE, {"NETRC": str(home / "none")})
    assert refused.value.reason == "WANDB_KEY_MISSING"


@pytest.mark.parametrize("kind", ["closed port", "silent"])
def test_a_server_that_is_not_there_is_said_at_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setattr(modes, "_REACH_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if kind == "closed port":
            listener.close()
        with pytest.raises(Unavailable) as refused:
            check(Mode.ONLINE, {"WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": url})
    assert refused.value.reason == "WANDB_UNREACHABLE"
    assert refused.value.exit_code == 3


def test_a_run_says_whom_it_tells_before_it_starts(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """And asks no server: one that is slow would hold up the run."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("AGENTFORGE_HOME", str(home))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody is there
    choose_tracking("", "gateway:1")
    assert "AGENTFORGE_WANDB" not in os.environ
    refused = [("yes", ""), ("online", ""), ("offline", "gateway:1")]
    reasons = ["UNKNOWN_TRACKING_MODE", "WANDB_KEY_MISSING", "CONFLICTING_OPTIONS"]
    for (mode, elsewhere), reason in zip(refused, reasons, strict=True):
        with pytest.raises(ForgeError) as caught:
            choose_tracking(mode, elsewhere)
        assert caught.value.reason == reason
    assert "AGENTFORGE_WANDB" not in os.environ
    monkeypatch.setenv("AGENTFORGE_WANDB", "disabled")  # for monkeypatch to restore
    choose_tracking("Offline", "")
    assert os.environ["AGENTFORGE_WANDB"] == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    choose_tracking("online", "")
    assert os.environ["AGENTFORGE_WANDB"] == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with pytest.raises(FailedPrecondition, match="WANDB_MODE"):
        choose_tracking("online", "")
    choose_tracking("disabled", "")
    assert os.environ["AGENTFORGE_WANDB"] == "disabled"
