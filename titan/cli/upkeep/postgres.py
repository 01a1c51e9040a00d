"""Looking after a database in PostgreSQL."""

import asyncio
import shlex
from pathlib import Path

from titan.cli.upkeep import BackedUp, Checked, Current, Moved, Progress, Refused
from titan.store.migrations import on_postgres
from titan.store.postgres.check import examine
from titan.store.postgres.tools import look
from titan.store.postgres.url import PostgresUrl
from titan.store.schema import Schema

PASSWORD = "the password goes into ~/.pgpass or PGPASSWORD, not into the command"  # noqa: S105  (a hint, no password)

# Without this a revision could come back under other content, and a client's old If-Match would fit it.
AFTER_RESTORE = f"SELECT setval('titan_revision', nextval('titan_revision') + {1 << 40})"


class PostgresUpkeep:
    """See `titan.cli.upkeep.Upkeep`; one database, which servers may be using."""

    kind = "postgresql"
    remedy = "find out whether the server's disk is to blame, then restore a backup (`titan db restore FILE` says how)"
    not_checked: str | None = (
        "rows and contents were read; pages and indexes are the business of PostgreSQL's own pg_amcheck and of its"
        " data checksums"
    )

    def __init__(self, url: PostgresUrl) -> None:
        self.place = str(url)
        self._url = url

    def current(self) -> Current:
        """Look at the database; it may be empty."""
        return Current(*asyncio.run(look(self._url)))

    def upgrade(self, revision: str) -> Moved:
        """Bring it to a later revision, beside the traffic; others that do the same wait for it and find it done."""
        return Moved(*on_postgres.upgrade(self._url, revision))

    def downgrade(self, revision: str, *, may_delete_documents: bool) -> Moved:
        """Take it back to an earlier revision; a server that cannot serve that one ends with exit code 4."""
        return Moved(*on_postgres.downgrade(self._url, revision, may_delete_documents=may_delete_documents))

    def check(self) -> Checked:
        """Read every row and every file."""
        return Checked(*asyncio.run(examine(self._url)))

    def back_up(self, file: Path, progress: Progress) -> BackedUp:  # noqa: ARG002
        """Say how PostgreSQL is backed up."""
        raise Refused(
            "PostgreSQL is backed up with its own tools. This database, consistent, while servers go on writing:\n"
            f"  pg_dump --format=custom --file={shlex.quote(str(file))} --dbname={self._address}\n"
            "The whole server, for recovery to any moment since (with archive_mode=on and an archive_command that keeps"
            " the WAL):\n"
            f"  pg_basebackup --pgdata=FOLDER --wal-method=stream --checkpoint=fast --dbname={self._address}\n"
            f"({PASSWORD}.)"
        )

    def restore(self, file: Path, progress: Progress) -> Schema:  # noqa: ARG002
        """Say how PostgreSQL is restored."""
        raise Refused(
            "PostgreSQL is restored with its own tools. Stop every titan serve; then, for a file that pg_dump made:\n"
            "  pg_restore --clean --if-exists --no-owner --exit-on-error --single-transaction"
            f" --dbname={self._address} {shlex.quote(str(file))}\n"
            "Let revisions go on where none has been, so that no entity tag that a client still holds fits:\n"
            f'  psql --dbname={self._address} --command="{AFTER_RESTORE}"\n'
            "Then `titan db upgrade`, `titan db check`, and start the servers. A pg_basebackup is put back, and WAL"
            " replayed, as PostgreSQL's manual says under point-in-time recovery.\n"
            f"({PASSWORD}.)"
        )

    @property
    def _address(self) -> str:
        return shlex.quote(self._url.for_tools)
