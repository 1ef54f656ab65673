"""Text that a user brings, looked at before a run begins. Free of torch: a service asks `check`."""

from __future__ import annotations

from agentforge.data.admission import Reading, check_text
from agentforge.kit.errors import Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase1_cognate.config import CognateConfig


def check(config: CognateConfig, inputs: list[InputPath]) -> list[Violation]:
    """What is wrong with the text that was given, as far as a short look tells."""
    return check_text(inputs, Reading())
