"""The command line. Importing it costs nothing; every command imports what it needs when it is called."""

from __future__ import annotations


def main() -> int:
    """The `agentforge` program; returns its exit code."""
    from agentforge.cli import app_drive, app_serve, app_tracking  # noqa: F401  (their commands)
    from agentforge.cli.app import app
    from agentforge.cli.failures import guarded

    return guarded(app)
