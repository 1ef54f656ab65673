"""The command line. Importing it costs nothing; every command imports what it needs when it is called."""

from __future__ import annotations


def main() -> int:
    """The `agentforge` program; returns its exit code."""
    from agentforge.cli.app import app
    from agentforge.cli.failures import guarded

    return guarded(app)
