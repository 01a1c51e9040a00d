"""`titan validate`: check JSON files against the metamodel, without a server and without a store."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from titan.cli.options import json_option
from titan.cli.transfer.files import PATH, Found, find
from titan.cli.transfer.reading import Item, RejectedFile, RejectedItem, Repeat, Repeats, Source, id_of, open_source
from titan.cli.transfer.words import counted, named, shown
from titan.exits import ExitCode
from titan.model.documents import Unacceptable, prepare
from titan.model.verification import Violation
from titan.store.contract import Kind


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one document, or with the file where `kind` is None."""

    file: Path
    violation: Violation
    kind: Kind | None = None
    id: str | None = None


@dataclass(slots=True)
class Sums:
    """How much was looked at, and how much of it has findings."""

    files: int = 0
    documents: int = 0
    violations: int = 0


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="PATH...")
@json_option
def command(paths: tuple[Path, ...], *, as_json: bool) -> int:
    r"""Check files against the metamodel, without a server.

    JSON files and folders of them, strictly, without a store. A file holds an Environment or one identifiable.

    Prints a line for every violation: file, document, place in the document, what is wrong.

    \b
    Example:
      titan validate machine.json templates/

    Exit codes: 0 nothing found, 1 violations or malformed files, 2 usage.
    """
    sums = Sums()
    show = _show_json if as_json else _show
    show(check(find(paths), sums), sums)
    return ExitCode.FAILED if sums.violations else ExitCode.DONE


def check(files: Iterable[Found], sums: Sums) -> Iterator[Finding]:
    """Yield what is wrong with the files, and count."""
    for found in files:
        sums.files += 1
        source = open_source(found)
        if isinstance(source, RejectedFile):
            yield _count(sums, Finding(source.path, Violation("", source.reason)))
            continue
        try:
            for finding in _check_source(source, sums):
                yield _count(sums, finding)
        finally:
            source.close()


def _check_source(source: Source, sums: Sums) -> Iterator[Finding]:
    repeats = Repeats(source)
    for item in source:
        sums.documents += 1
        if isinstance(item, RejectedItem):
            yield Finding(item.path, Violation("", item.reason), item.piece.kind)
        else:
            yield from _check_item(item, repeats)


def _check_item(item: Item, repeats: Repeats) -> Iterator[Finding]:
    kind = item.piece.kind
    prepared = prepare(kind, item.raw)
    document_id = id_of(item.raw)
    if isinstance(prepared, Unacceptable):
        yield from (Finding(item.path, violation, kind, document_id) for violation in prepared.violations)
    if document_id is not None and repeats.judge(item, document_id) is Repeat.OTHER:
        yield Finding(item.path, Violation("id", Repeat.OTHER), kind, document_id)


def _count(sums: Sums, finding: Finding) -> Finding:
    sums.violations += 1
    return finding


def _show(findings: Iterable[Finding], sums: Sums) -> None:
    for finding in findings:
        subject = [] if finding.kind is None else [f"{finding.kind} {shown(finding.id or '(no id)')}"]
        click.echo(": ".join([shown(str(finding.file)), *subject, shown(str(finding.violation))]))
    looked_at = f"{counted(sums.documents, 'document')} in {counted(sums.files, 'file')}"
    click.echo(f"{looked_at}: {counted(sums.violations, 'violation') if sums.violations else 'no violations'}")


def _show_json(findings: Iterable[Finding], sums: Sums) -> None:
    separator = '{"violations":[\n'
    for finding in findings:
        sys.stdout.write(separator + json.dumps(_as_jsonable(finding)))
        separator = ",\n"
    summary = {"files": sums.files, "documents": sums.documents, "violations": sums.violations}
    opening = "" if sums.violations else separator
    sys.stdout.write(f'{opening}\n],"summary":{json.dumps(summary)}}}\n')


def _as_jsonable(finding: Finding) -> dict[str, Any]:
    return {
        "file": named(finding.file),
        "kind": finding.kind,
        "id": finding.id,
        "path": finding.violation.path,
        "message": finding.violation.message,
    }
