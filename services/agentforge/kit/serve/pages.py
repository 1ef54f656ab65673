"""Page tokens: where the last page ended, and a check that nobody mended them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from agentforge.kit.errors import InvalidInput

DEFAULT_PAGE = 100
MAX_PAGE = 1000


def check_page_size(size: int) -> int:
    if not 0 <= size <= MAX_PAGE:
        raise InvalidInput(
            f"page_size is {size}: it must be 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}", field="page_size"
        )
    return size or DEFAULT_PAGE


def make_token(last_run_id: str, scope: Sequence[int]) -> str:
    """`scope` is what the listing asks for (its states): a token serves only the listing that gave it."""
    body = json.dumps([last_run_id, sorted(scope)]).encode()
    return base64.urlsafe_b64encode(_checksum(body) + body).decode()


def read_token(token: str, scope: Sequence[int]) -> str:
    """The run id after which the page begins; empty for the empty token."""
    if not token:
        return ""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _refused("it is not a token of this service") from None
    checksum, body = raw[:8], raw[8:]
    if checksum != _checksum(body):
        raise _refused("it was altered or cut")
    last_run_id, states = json.loads(body)
    if states != sorted(scope):
        raise _refused("it belongs to a listing of other states")
    return str(last_run_id)


def _checksum(body: bytes) -> bytes:
    # Against mistakes, not against attackers: a token opens nothing that the listing does not show anyway.
    return hashlib.sha256(b"agentforge page token" + body).digest()[:8]


def _refused(why: str) -> InvalidInput:
    return InvalidInput(
        f"page_token cannot be used: {why}",
        reason="INVALID_PAGE_TOKEN",
        field="page_token",
        next_step="Start again without page_token.",
    )
