"""/docs: the OpenAPI as one plain page. No script, so it works offline and behind any content policy."""

from __future__ import annotations

import json
from html import escape
from typing import Any

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h3{font-family:ui-monospace,monospace;font-size:1rem;margin-bottom:.2rem} b{color:#06c}
td{padding-right:1rem}
pre{background:#f4f4f4;padding:.6rem;overflow:auto;font-size:.85rem}
details{margin:.3rem 0} section{margin-bottom:2rem}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#111}pre{background:#222}b{color:#6af}a{color:#8bf}}
"""


def docs_page(schema: dict[str, Any]) -> str:
    routes = [
        _route(method, path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    models = [_model(name, model) for name, model in sorted(schema["components"]["schemas"].items())]
    title = escape(schema["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>The same for programs: <a href='/openapi.json'>/openapi.json</a>. WebSocket: "
        f"<code>/v1/runs/{{run_id}}/ws?after=N</code>, messages <code>{{&quot;events&quot;: […]}}</code>.</p>"
        f"<section>{''.join(routes)}</section><h2>Models</h2>{''.join(models)}</html>"
    )


def _route(method: str, path: str, operation: dict[str, Any]) -> str:
    said = escape(operation.get("description") or operation.get("summary") or "")
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", [])
    )
    answers = " · ".join(
        f"{code} {escape(answer['description'])}" for code, answer in operation["responses"].items()
    )
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    takes = f"<details><summary>Body</summary>{_json(body)}</details>" if body else ""
    return (
        f"<h3><b>{method.upper()}</b> {escape(path)}</h3>{said}<table>{rows}</table>{takes}<small>{answers}</small>"
    )


def _model(name: str, model: dict[str, Any]) -> str:
    return f"<details id='{escape(name)}'><summary>{escape(name)}</summary>{_json(model)}</details>"


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2))}</pre>"
