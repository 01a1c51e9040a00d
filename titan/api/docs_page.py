"""The page for people: every operation, from the table, in one HTML file that loads nothing and runs nothing."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from titan.api.messages import Response
from titan.api.openapi import QUERY, REASONS, SUCCESSES, Addition, statuses
from titan.api.operation import Operation
from titan.version import __version__

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font-family: ui-monospace, monospace; font-size: .92em; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; padding: .3rem .7rem; }
details[open] { background: var(--soft); }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5rem; }
summary span { opacity: .75; margin-left: .6rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
td, th { text-align: left; vertical-align: top; padding: .15rem .8rem .15rem 0; border-top: 1px solid var(--line); }
"""

# The page allows exactly its own style, named by its digest, and nothing else.
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; frame-ancestors 'none'; base-uri 'none'"


def docs_page(operations: Iterable[Operation], base: str = "", *, more: Sequence[Addition] = ()) -> Response:
    """Return the page; `base` is where the API is mounted, `more` what is served beside the operations."""
    rows = list(operations)
    built = [row for row in rows if row.handler is not None]
    missing = [row for row in rows if row.handler is None]
    body = "".join(
        [
            f"<!doctype html><html lang=en><meta charset=utf-8><title>Titan-AAS</title><style>{_STYLE}</style>",
            '<meta name=viewport content="width=device-width">',
            _introduction(base),
            *(_service(name, list(group)) for name, group in groupby(built, key=lambda row: row.service)),
            *map(_addition, more),
            _missing(missing),
            "</html>",
        ]
    )
    headers = (("Content-Security-Policy", _POLICY),)
    return Response(200, body.encode(), headers, "text/html; charset=utf-8")


def _introduction(base: str) -> str:
    return (
        f"<h1>Titan-AAS {escape(__version__)}</h1>"
        "<p>The Asset Administration Shell API (IDTA-01002, version 3.1.2) as far as this server has it, below "
        f"<code>{escape(base)}/</code> and the same below <code>{escape(base)}/api/v3.1/</code> and "
        f"<code>{escape(base)}/api/v3/</code>. "
        f"For programs: <a href='{escape(base)}/openapi.json'>openapi.json</a>.</p>"
        "<p>Identifiers in paths are base64url without padding. Errors are a <code>Result</code> with one message per "
        "fault. Every document has an <code>ETag</code>; send it back as <code>If-Match</code> and nobody's change is "
        "overwritten unseen. A <code>POST</code> with an <code>Idempotency-Key</code> can be sent again safely.</p>"
    )


def _service(name: str, rows: list[Operation]) -> str:
    return f"<h2>{escape(name)}</h2>" + "".join(map(_operation, rows))


def _operation(row: Operation) -> str:
    return _details(row.operation_id, row.method, row.path, row.summary) + f"{_takes(row)}{_answers(row)}</details>"


def _details(operation_id: str, method: str, path: str, summary: str) -> str:
    return (
        f"<details id='{escape(operation_id)}'><summary><b>{escape(method)}</b><code>{escape(path)}</code>"
        f"<span>{escape(summary)}</span></summary>"
    )


def _addition(addition: Addition) -> str:
    rows = [_described(path, *each) for path, item in addition.paths.items() for each in item.items()]
    return f"<h2>{escape(addition.title)}</h2>{''.join(rows)}"


def _described(path: str, method: str, operation: Mapping[str, Any]) -> str:
    takes = [(each["name"], each["description"]) for each in operation["parameters"]]
    answers = [
        (status, response.get("description") or REASONS[int(status)])
        for status, response in sorted(operation["responses"].items())
    ]
    return _details(operation["operationId"], method.upper(), path, operation["summary"]) + (
        f"{_table('Takes', takes)}{_table('Answers', answers)}</details>"
    )


def _takes(row: Operation) -> str:
    lines = [(name, QUERY[name][0]) for name in row.query]
    if row.request is not None:
        lines.append(("body", f"{row.request} as {', '.join(row.request_media)}"))
    return _table("Takes", lines) if lines else ""


def _answers(row: Operation) -> str:
    lines = [(str(status), SUCCESSES[status]) for status in row.success]
    if row.result is not None:
        lines = [(status, f"{text}: {row.result}" if status != "204" else text) for status, text in lines]
    lines += [(str(status), REASONS[status]) for status in statuses(row)]
    return _table("Answers", lines)


def _table(title: str, lines: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>" for name, text in lines)
    return f"<table><tr><th colspan=2>{title}</th></tr>{cells}</table>"


def _missing(rows: list[Operation]) -> str:
    lines = "".join(
        f"<tr><td>{row.method}</td><td><code>{escape(row.path)}</code></td><td>{escape(row.operation_id)}</td></tr>"
        for row in rows
    )
    title = f"{len(rows)} further operations of the standard, answered with 501"
    return f"<h2>Not offered yet</h2><details><summary>{title}</summary><table>{lines}</table></details>"
