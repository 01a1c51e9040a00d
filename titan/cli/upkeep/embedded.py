"""Looking after the embedded store."""

from pathlib import Path

from titan.cli.upkeep import BackedUp, Checked, Current, Moved, Progress, Refused
from titan.store.migrations import runner
from titan.store.schema import Fit, Schema, judge, version_key
from titan.store.sqlite.backup import BackupFailed, back_up
from titan.store.sqlite.check import findings
from titan.store.sqlite.lock import AlreadyServed, serve_lock, server_version
from titan.store.sqlite.prepare import identity, look, make_folder
from titan.store.sqlite.restore import RestoreRefused, restore


class EmbeddedUpkeep:
    """See `titan.cli.upkeep.Upkeep`; one SQLite file."""

    kind = "sqlite"
    remedy = "restore a backup with `titan db restore FILE`"
    not_checked: str | None = None

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self._path = path

    def current(self) -> Current:
        """Look at the database; there may be none yet."""
        found = look(self._path)
        return Current(found, None if found is None else identity(self._path))

    def upgrade(self, revision: str) -> Moved:
        """Bring it to a later revision, unless a server runs that could not serve it."""
        make_folder(self._path.parent)
        before = look(self._path)
        fit = judge(before)
        if revision == "head" and fit in {Fit.NEWER, Fit.TOO_NEW}:
            return Moved(before, before)
        serving = server_version(self._path)
        needed = runner.chain()[-1].module.oldest_program
        if serving is not None and fit is not Fit.CURRENT and version_key(serving) < version_key(needed):
            raise Refused(f"the running server is titan {serving}, the new schema needs {needed}: stop it first")
        runner.upgrade(self._path, revision)
        return Moved(before, look(self._path))

    def downgrade(self, revision: str, *, may_delete_documents: bool) -> Moved:
        """Take it back to an earlier revision, unless a server runs."""
        before = look(self._path)
        if before is None:
            raise Refused(f"{self._path}: there is no schema to go back from")
        try:
            with serve_lock(self._path):
                runner.downgrade(self._path, revision, may_delete_documents=may_delete_documents)
        except AlreadyServed as error:
            raise Refused(f"{error}; stop it first") from None
        return Moved(before, look(self._path))

    def check(self) -> Checked:
        """Read pages, indexes, rows and files."""
        found = look(self._path)
        return Checked(found, [] if found is None else list(findings(self._path)))

    def back_up(self, file: Path, progress: Progress) -> BackedUp:
        """Copy it to a new file while a server goes on writing."""
        found = look(self._path)
        if found is None:
            raise Refused(f"there is no store at {self._path}")
        try:
            made = back_up(self._path, file, progress)
        except BackupFailed as error:
            raise Refused(str(error)) from None
        return BackedUp(found, made.size, made.files)

    def restore(self, file: Path, progress: Progress) -> Schema:
        """Put a backup in its place, unless a server runs."""
        try:
            return restore(file, self._path, progress)
        except AlreadyServed as error:
            raise Refused(f"{error}; stop it first") from None
        except RestoreRefused as error:
            raise Refused(str(error)) from None
