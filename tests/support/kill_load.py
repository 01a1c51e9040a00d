"""A process that writes without pause and says what was acknowledged, to be killed. `python kill_load.py PATH [CODE]`.

Each of its tasks has one document of its own that it replaces again and again (`task-N`, its text counts), creates one
new document each time, and now and then deletes one. After each acknowledgement, and never before, it writes a line:

    ready PID           the writer process can write
    put TASK COUNT REVISION
    new TASK COUNT REVISION
    del TASK COUNT REVISION

CODE is Python for another writer process than the real one (a control that acknowledges too early).
"""

import os
import sys
from pathlib import Path

import trio

from tests.support.store_documents import submodel
from titan.store.contract import Created, Deleted, Document, Field, Kind, OutcomeUnknown, Replaced, Term, WriteMode
from titan.store.sqlite.client import WriterFailed
from titan.store.sqlite.store import SqliteStore

TASKS = 12


def version(document_id: str, count: int) -> Document:
    """Make a submodel of which every part tells its count: header, each element, a term."""
    made = submodel(document_id, *[(f"e{number}", str(count)) for number in range(count % 4 + 1)])
    header = made.header[:-1] + b',"count":%d}' % count
    return Document(Kind.SUBMODEL, document_id, header, made.elements, frozenset({term(document_id, count)}))


def term(document_id: str, count: int) -> Term:
    return Term(Field.ID_SHORT, f"{document_id} {count}")


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def work(store: SqliteStore, task: int, first: int) -> None:
    count = first
    while True:
        count += 1
        put = await settled(store, task, count)
        say("put", task, count, put.revision)
        try:
            new = await store.write(version(f"new-{task}-{count}", count), WriteMode.CREATE)
            assert isinstance(new, Created)
            say("new", task, count, new.revision)
            if count % 3 == 0:
                gone = await store.delete(Kind.SUBMODEL, f"new-{task}-{count}")
                assert isinstance(gone, Deleted)
                say("del", task, count, gone.revision)
        except OutcomeUnknown:
            continue


async def settled(store: SqliteStore, task: int, count: int) -> Created | Replaced:
    """Replace the task's document; where the outcome is unknown, do it again: it may not be left behind."""
    while True:
        try:
            outcome = await store.write(version(f"task-{task}", count), WriteMode.PUT)
        except OutcomeUnknown:
            continue
        assert isinstance(outcome, Created | Replaced)
        return outcome


async def main() -> None:
    path, first, *code = sys.argv[1:]
    command = [sys.executable, "-c", code[0]] if code else None
    async with SqliteStore(Path(path), writer_command=command) as store, trio.open_nursery() as nursery:
        for task in range(TASKS):
            nursery.start_soon(work, store, task, int(first))
        while True:
            try:
                await store.run_writer(lambda: say("ready", store.writer.pid))
            except WriterFailed as error:
                assert "killed by signal 9" in error.reason, error  # noqa: PT017 (this is no test function)


if __name__ == "__main__":
    trio.run(main)
