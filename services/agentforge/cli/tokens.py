"""`agentforge tokens`: make, list and revoke a gateway's tokens, over its REST, with the standard library alone."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from typing import Any

from agentforge.cli.connect import secured, token
from agentforge.kit.errors import ForgeError, InvalidInput, Unavailable

_TIMEOUT_S = 30.0
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def create_token(url: str, name: str, scopes: list[str], expires: str, *, as_json: bool) -> int:
    body: dict[str, Any] = {"name": name, "scopes": scopes}
    if expires:
        body["expires_in_s"] = seconds_of(expires)
    made = _ask(url, "POST", "/v1/tokens", body)
    if as_json:
        print(json.dumps(made))
    else:
        print(made["secret"])
        print(f"{made['token_id']} may {', '.join(made['scopes'])} {_until(made)}; the secret is not shown again.")
    return 0


def list_tokens(url: str, *, as_json: bool) -> int:
    found = _ask(url, "GET", "/v1/tokens")["tokens"]
    if as_json:
        print(json.dumps(found))
        return 0
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("id", "name", "scopes", "made", "valid", "last used", box=None)
    for one in found:
        state = f"revoked {one['revoke_time'][:19]}" if one["revoke_time"] else _until(one)
        used = (one["last_used_time"] or "never")[:19]
        cells = (one["token_id"], one["name"], " ".join(one["scopes"]), one["create_time"][:19], state, used)
        table.add_row(*(escape(cell) for cell in cells))
    Console().print(table)
    return 0


def revoke_token(url: str, token_id: str, *, as_json: bool) -> int:
    if not re.fullmatch(r"t-[0-9a-f]{16}", token_id):
        raise InvalidInput(
            f"{token_id[:64]!r} is no id of a token",
            reason="UNKNOWN_TOKEN",
            field="ID",
            next_step="`agentforge tokens list` shows them; a secret is not an id.",
        )
    gone = _ask(url, "DELETE", f"/v1/tokens/{token_id}")
    print(json.dumps(gone) if as_json else f"{gone['token_id']} ({gone['name']!r}) opens nothing any more.")
    return 0


def seconds_of(text: str) -> int:
    """30d, 12h, 90m, 45s."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None or int(found[1]) == 0:
        raise InvalidInput(
            f"{text[:64]!r} is no length of time",
            reason="USAGE",
            field="--expires",
            next_step="Write a number and s, m, h or d, as in 30d.",
        )
    return int(found[1]) * _UNITS_S[found[2]]


def _until(one: dict[str, Any]) -> str:
    return f"until {one['expire_time'][:19]}" if one["expire_time"] else "without end"


def _ask(url: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    base = url if "://" in url else f"http://{url}"
    address, tls = secured(base)
    context = None
    if tls is not None:
        base = f"https://{address}"
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token()}"} if token() else {})
    request = urllib.request.Request(  # noqa: S310 - http or https: see above
        base.rstrip("/") + path, json.dumps(body).encode() if body else None, headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=context) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise _problem(error, base) from None
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"the gateway at {base} cannot be reached: {getattr(error, 'reason', error)}",
            reason="GATEWAY_UNREACHABLE",
            field="--gateway",
            next_step="Give the address of its HTTP (not gRPC), with https:// where it speaks TLS.",
        ) from None


def _problem(error: urllib.error.HTTPError, base: str) -> ForgeError:
    try:
        told = json.load(error)
        ours = InvalidInput if error.code < 500 else ForgeError
        return ours(told["detail"], reason=told["reason"], field=told["field"], next_step=told["next_step"])
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"{base} answered {error.code}, and not as a gateway does", reason="GATEWAY_UNREACHABLE")
