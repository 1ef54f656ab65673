"""What a phase's service refuses, asked over its socket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agentforge.client import PhaseClient
from agentforge.kit.errors import ForgeError
from agentforge.kit.refs import ArtifactRef
from agentforge.v1.event_pb2 import ErrorDetail


def refused(client: PhaseClient, home: Path, config: dict[str, Any], refs: Sequence[ArtifactRef]) -> ErrorDetail:
    """The violation of the one thing that is wrong; a start says the same, and leaves nothing."""
    [found] = client.validate(config, inputs=refs, check_inputs=True).violations
    with pytest.raises(ForgeError) as caught:
        client.start("refused", config, refs)
    assert caught.value.reason == found.reason
    assert caught.value.exit_code == 2
    assert not (home / "runs").exists()
    return found
