"""The token of a service: from the environment, or from a file, as secrets are mounted in containers."""

from __future__ import annotations

import os
from pathlib import Path

from agentforge.kit.errors import InvalidInput

TOKEN_VARIABLE = "AGENTFORGE_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE_VARIABLE = "AGENTFORGE_TOKEN_FILE"  # noqa: S105 - the name of a variable


def service_token() -> str:
    """Of AGENTFORGE_TOKEN or of the file that AGENTFORGE_TOKEN_FILE names; empty when neither is set."""
    token, file = os.environ.get(TOKEN_VARIABLE, ""), os.environ.get(TOKEN_FILE_VARIABLE, "")
    return choose_token(token, Path(file) if file else None)


def choose_token(token: str, file: Path | None) -> str:
    """Two tokens are refused: a service that took the other one than its operator thinks would lock people out."""
    if file is None:
        return _speakable(token, TOKEN_VARIABLE)
    if token:
        raise InvalidInput(
            f"both {TOKEN_VARIABLE} and {TOKEN_FILE_VARIABLE} are set",
            reason="TWO_TOKENS",
            field=TOKEN_FILE_VARIABLE,
            next_step="Unset one of them.",
        )
    try:
        read = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidInput(
            f"the token's file {file} cannot be read: {why}", reason="TOKEN_FILE", field=TOKEN_FILE_VARIABLE
        ) from None
    if not read:
        raise InvalidInput(
            f"the token's file {file} is empty",
            reason="TOKEN_FILE",
            field=TOKEN_FILE_VARIABLE,
            next_step="Write the token into it, or unset the variable to serve without one.",
        )
    return _speakable(read, TOKEN_FILE_VARIABLE)


def _speakable(token: str, variable: str) -> str:
    if token.isascii() and token.isprintable() and " " not in token:
        return token
    raise InvalidInput(
        "a token is printable ASCII without spaces: headers carry nothing else",
        reason="BAD_TOKEN",
        field=variable,
        next_step="Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
    )
