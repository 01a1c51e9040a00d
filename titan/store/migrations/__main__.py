"""`python -m titan.store.migrations upgrade PATH`: what `titan serve` starts when the embedded store is not current."""

import sys
from pathlib import Path

from titan.store.migrations import runner


def main(arguments: list[str]) -> int:
    """Upgrade the database at PATH; a failure is one line on standard error."""
    if len(arguments) != 2 or arguments[0] != "upgrade":
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        runner.upgrade(Path(arguments[1]))
    except (runner.NotMigrated, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
