"""Tomorrow's titan: today's code with one more migration, which only adds. `python -m tests.chaos.next_version serve`.

As every expanding migration must, it leaves today's program able to serve: that is what a roll-out, and its way back,
rest on.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from titan.store import schema
from titan.store.migrations import on_postgres
from titan.version import __version__

PROGRAM = (sys.executable, "-m", "tests.chaos.next_version")
REVISION = f"{int(schema.NEWEST_SCHEMA) + 1:04}"

# The busiest table is touched on purpose: it is locked, for a moment, against everybody.
MIGRATION = f"""
revision = "{REVISION}"
down_revision = "{schema.NEWEST_SCHEMA}"
oldest_program = "{__version__}"

UP = (
    "ALTER TABLE titan_document ADD COLUMN IF NOT EXISTS remark text",
    "CREATE INDEX IF NOT EXISTS titan_document_remark ON titan_document (remark) WHERE remark IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS titan_remark (n bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
)
DOWN = (
    "DROP TABLE IF EXISTS titan_remark",
    "ALTER TABLE titan_document DROP COLUMN IF EXISTS remark",
)
"""


def become(folder: Path) -> None:
    """Be the later version for the rest of the process; its migrations are put into `folder`."""
    shutil.copytree(on_postgres.POSTGRES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / f"{REVISION}_remarks.py").write_text(MIGRATION)
    for migrate in (on_postgres.upgrade, on_postgres.downgrade):
        assert migrate.__kwdefaults__ is not None
        migrate.__kwdefaults__["folder"] = folder
    version, oldest, newest = schema.Program.__init__.__defaults__ or ()
    assert newest == schema.NEWEST_SCHEMA
    schema.Program.__init__.__defaults__ = (version, oldest, REVISION)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        become(Path(made))
        from titan.cli.main import main

        main()
