"""`./dev binary [FOLDER]`: build it, say what it is."""

import sys
from pathlib import Path

from deploy.binary.build import ROOT, build
from deploy.binary.contents import CannotBuild


def main(arguments: list[str]) -> int:
    """Build into the folder that is named, else dist/."""
    try:
        built = build(Path(arguments[0]) if arguments else ROOT / "dist")
    except CannotBuild as error:
        print(f"titan: {error}", file=sys.stderr)
        return 1
    made = "built" if built.is_new else "up to date"
    print(f"{built.path}  {built.size_bytes / 1e6:.1f} MB, for glibc >= {built.glibc} ({made}); beside it its .sha256")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
