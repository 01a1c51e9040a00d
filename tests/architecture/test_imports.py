"""The import directions of the design (architecture 2) hold."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide the direction"
            yield node.module


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", files("titan"), ids=relative)
def test_titan_does_not_import_supervisors(path):
    if relative(path) == "titan/cli/serve.py":
        return
    assert [name for name in imports(path) if name.partition(".")[0] == "supervisors"] == []


@pytest.mark.parametrize("path", files("supervisors/kernel"), ids=relative)
def test_the_kernel_imports_only_trio_and_the_standard_library(path):
    allowed = sys.stdlib_module_names | {"trio"}
    foreign = [
        name
        for name in imports(path)
        if name.partition(".")[0] not in allowed and not name.startswith("supervisors.kernel")
    ]
    assert foreign == []


@pytest.mark.parametrize("path", [*files("titan"), *files("supervisors")], ids=relative)
def test_alembic_is_imported_by_migrations_only(path):
    if relative(path).startswith("titan/store/migrations/"):
        return
    assert [name for name in imports(path) if name.partition(".")[0] in {"alembic", "sqlalchemy"}] == []


@pytest.mark.parametrize("path", [*files("titan/api"), *files("titan/model"), *files("titan/store")], ids=relative)
def test_the_domain_knows_no_web_framework(path):
    assert [name for name in imports(path) if name.partition(".")[0] in {"quart", "quart_trio", "hypercorn"}] == []
