"""Puts what is nothing but compiled Python into the one archive that the interpreter looks into by itself.

Thousands of small files are what takes a first start its time, and an archive is one. Beside it stay the packages
that have more than code: shared objects cannot be loaded from an archive, and data is read by its path.
"""

import shutil
import sys
import zipfile
from pathlib import Path

BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)


def bundle(tree: Path) -> None:
    """Move Python's own library and the packages that are code alone into lib/python3N.zip."""
    library = tree / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    app = tree / "app"
    moved = [path for path in library.iterdir() if path.name != "lib-dynload"]
    moved += [path for path in app.iterdir() if _is_code_alone(path)]
    name = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    with zipfile.ZipFile(tree / "lib" / name, "w", zipfile.ZIP_STORED) as archive:
        for top in sorted(moved):
            for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if path.is_file():
                    inside = path.relative_to(library if library in path.parents else app)
                    archive.writestr(zipfile.ZipInfo(inside.as_posix(), BEGINNING_OF_TIME), path.read_bytes())
            if top.is_dir():
                shutil.rmtree(top)
            else:
                top.unlink()


def _is_code_alone(path: Path) -> bool:
    """Say whether it is a module, a package of modules, or a package's description (importlib.metadata finds those)."""
    if path.suffix == ".dist-info" or not path.is_dir():
        return path.suffix in {".dist-info", ".pyc"}
    return all(file.suffix == ".pyc" for file in path.rglob("*") if file.is_file())
