"""The commands of `agentforge tokens`."""

from __future__ import annotations

from typing import Annotated

import typer

tokens_app = typer.Typer(
    name="tokens", help="Make, list and revoke tokens of a gateway; AGENTFORGE_TOKEN must be allowed to.",
    no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip

Url = Annotated[
    str,
    typer.Option(
        "--gateway", envvar="AGENTFORGE_GATEWAY_URL", metavar="URL", help="Where the gateway's HTTP listens."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, errors as JSON on stderr.")]
_LOCAL = "http://127.0.0.1:8080"


@tokens_app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="For people: whose it is, or what for.")],
    scope: Annotated[list[str], typer.Option(help="read, run, promote or admin. May be repeated.")],
    expires: Annotated[str, typer.Option(metavar="TIME", help="From now, as in 30d or 12h; absent: never.")] = "",
    gateway: Url = _LOCAL,
    as_json: Json = False,
) -> int:
    """Make a token and show its secret, once."""
    from agentforge.cli.tokens import create_token

    return create_token(gateway, name, scope, expires, as_json=as_json)


@tokens_app.command("list")
def list_(gateway: Url = _LOCAL, as_json: Json = False) -> int:
    """List all tokens, newest first; no secrets."""
    from agentforge.cli.tokens import list_tokens

    return list_tokens(gateway, as_json=as_json)


@tokens_app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")],
    gateway: Url = _LOCAL,
    as_json: Json = False,
) -> int:
    """From now on the token opens nothing."""
    from agentforge.cli.tokens import revoke_token

    return revoke_token(gateway, token_id, as_json=as_json)
