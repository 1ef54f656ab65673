"""The corpus that a sandbox is measured by, whole."""

from __future__ import annotations

from agentforge.tools.sandbox.bombs import bombs
from agentforge.tools.sandbox.ways_out import ways_out

ESCAPES = (*ways_out(), *bombs())
