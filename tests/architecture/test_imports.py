"""The import directions of the design (architecture 2) hold: who may know whom, as one table."""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

KNOWS: Mapping[str, frozenset[str]] = {
    name: frozenset(others.split())
    for name, others in {
        "titan.version": "",
        "titan.exits": "",
        "titan.printable": "",
        "titan.island": "",
        "titan.redis": "titan.island",
        "titan.store": "titan.island titan.version",
        "titan.model": "titan.store",
        "titan.cache": "titan.island titan.redis titan.store",
        "titan.sync": "titan.model titan.printable titan.store titan.version",
        "titan.coordination": "titan.redis titan.store",
        "titan.api": "titan.model titan.store titan.version",
        "titan.events": "titan.api titan.model titan.store",
        "titan.http": "titan.api",
        "titan.security": "titan.http titan.redis",
        "titan.telemetry": "titan.http titan.printable titan.version",
        "titan.settings": "titan.coordination titan.printable titan.redis titan.store titan.sync",
        "titan.ha": "titan.redis titan.settings titan.store",
        "titan.reference": "titan.events titan.settings titan.telemetry",
        "titan.tasks": "titan.model titan.printable titan.settings titan.store titan.sync",
        "titan.cli": "titan.coordination titan.exits titan.ha titan.model titan.printable titan.redis titan.settings"
        " titan.store titan.tasks titan.version",
        "titan.__main__": "titan.cli",
        "supervisors.kernel": "",
        "supervisors.signals": "",
        "supervisors.actors": "supervisors.kernel titan.cache titan.coordination titan.http titan.island titan.redis"
        " titan.store titan.tasks titan.telemetry",
        "supervisors.backends": "supervisors.actors supervisors.kernel titan.cache titan.coordination titan.island"
        " titan.redis titan.settings titan.store titan.telemetry",
        "supervisors.tasks": "supervisors.actors supervisors.kernel titan.settings titan.store titan.tasks"
        " titan.telemetry",
        "supervisors.leadership": "supervisors.actors supervisors.kernel supervisors.tasks titan.coordination"
        " titan.store titan.telemetry",
        "supervisors.instance": "supervisors.actors supervisors.backends supervisors.kernel supervisors.leadership"
        " supervisors.tasks titan.api titan.coordination titan.events titan.http titan.security titan.settings"
        " titan.telemetry",
        "supervisors.tree": "supervisors.actors supervisors.backends supervisors.instance supervisors.kernel"
        " supervisors.leadership",
        "supervisors.root": "supervisors.actors supervisors.backends supervisors.instance supervisors.kernel"
        " supervisors.signals supervisors.tree titan.exits titan.http titan.settings titan.store titan.telemetry"
        " titan.version",
    }.items()
}
"""Each part of the program and the parts that its files import. A new word here is a decision about the design."""

SERVE = "titan/cli/serve.py"
"""The only file of titan/ that may import supervisors/."""

KERNEL = "supervisors.kernel"

STORE_SEEN_FROM_ABOVE = {"titan.store.contract", "titan.store.blobs"}
"""What the API and the model know of stores: the promise, and neither of those who keep it."""


@cache
def imports(path: Path) -> frozenset[str]:
    """Return every module that a file imports, also inside functions."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide the direction"
            yield node.module


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


EVERY_FILE = files("titan", "supervisors")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def part(module: str) -> str:
    """Return the part of the program that a module is of; the settings' files are one."""
    name = ".".join(module.split(".")[:2])
    return "titan.settings" if name.startswith("titan.settings") else name


def part_of(path: Path) -> str:
    return part(relative(path).removesuffix(".py").replace("/", "."))


def tops(path: Path) -> set[str]:
    """Return the packages that a file imports from."""
    return {name.split(".")[0] for name in imports(path)}


def ours(path: Path) -> set[str]:
    """Return the other parts of the program that a file imports."""
    return {part(name) for name in imports(path) if name.split(".")[0] in {"titan", "supervisors"}} - {part_of(path)}


def test_the_table_is_what_the_files_import():
    """No file knows a part that is not in its own part's line, and no line says more than is so."""
    known: dict[str, set[str]] = {}
    for path in EVERY_FILE:
        if relative(path) != SERVE and not (path.name == "__init__.py" and path.parent.parent == ROOT):
            known.setdefault(part_of(path), set()).update(ours(path))
    assert known == KNOWS


def test_titan_knows_nothing_of_supervisors_but_for_the_command_that_starts_them():
    assert ours(ROOT / SERVE) == {"supervisors.root"}
    upwards = {name: other for name, others in KNOWS.items() for other in others if other.startswith("supervisors.")}
    assert {name for name in upwards if name.startswith("titan.")} == set()


def test_no_two_parts_need_each_other():
    TopologicalSorter(KNOWS).prepare()  # raises CycleError


def test_the_kernel_imports_only_trio_and_the_standard_library():
    foreign = {name for path in files("supervisors/kernel") for name in imports(path)}
    allowed = sys.stdlib_module_names | {"trio"}
    assert {name for name in foreign if name.split(".")[0] not in allowed and not name.startswith(KERNEL)} == set()


def test_api_and_model_know_the_stores_by_their_contract_alone():
    known = {name for path in files("titan/api", "titan/model") for name in imports(path)}
    assert {name for name in known if name.startswith("titan.store")} == STORE_SEEN_FROM_ABOVE


@pytest.mark.parametrize(
    ("libraries", "places"),
    [
        ("alembic sqlalchemy", ("titan/store/migrations/",)),
        ("quart quart_trio hypercorn werkzeug", ("titan/http/",)),
        (
            "asyncpg asyncio",
            (
                "titan/island.py",
                "titan/redis/",
                "titan/store/postgres/",
                "titan/store/migrations/on_postgres.py",
                "titan/cli/upkeep/postgres.py",
            ),
        ),
        ("redis", ("titan/redis/",)),
        ("uvloop", ("titan/island.py",)),
        ("httpx httpcore", ("titan/sync/",)),
        ("wsproto", ("titan/events/",)),
        ("sqlite3", ("titan/store/",)),
        ("aas_core3_1", ("titan/model/",)),
        ("prometheus_client structlog", ("titan/telemetry/",)),
        ("pydantic pydantic_settings", ("titan/settings",)),
        ("rich click", ("titan/cli/",)),
        # Commands and the writer are processes of their own; what is a library must leave signals alone.
        ("signal", ("supervisors/signals.py", "titan/cli/", "titan/store/sqlite/writer.py")),
    ],
)
def test_a_library_is_known_in_its_place_only(libraries, places):
    users = {relative(path) for path in EVERY_FILE if tops(path) & set(libraries.split())}
    assert {path for path in users if not path.startswith(places)} == set()
    assert [place for place in places if not any(path.startswith(place) for path in users)] == []


def test_only_the_island_knows_both_loops():
    both = [relative(path) for path in EVERY_FILE if tops(path) >= {"trio", "asyncio"}]
    assert both == ["titan/island.py"]


def test_no_state_is_global():
    sinners = [
        path for path in EVERY_FILE for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Global)
    ]
    assert sinners == []
