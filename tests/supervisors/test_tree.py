"""The tree keeps what the settings were told about it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from supervisors.backends import Surroundings, open_backend
from supervisors.instance import Base, Sockets, State, make_instance
from supervisors.kernel import Child, Supervisor
from supervisors.tree import tree
from titan.settings import Database, Http, Redis, Settings
from titan.settings_load import LONGEST_SHUTDOWN_S
from titan.telemetry.log import make_log
from titan.telemetry.metrics import Metrics
from titan.telemetry.sdnotify import Notifier


def children(node: Child | Supervisor) -> Iterator[Child]:
    if isinstance(node, Child):
        yield node
    else:
        for below in node.children:
            yield from children(below)


@asynccontextmanager
async def tree_of(settings: Settings) -> AsyncIterator[Supervisor]:
    """Give the tree that these settings make; nothing of it runs."""
    base = Base(make_log(lambda _: None), Notifier(None), Metrics(), State())
    around = Surroundings("titan-1", base.check, base.metrics, on_unfit=lambda _: None)
    async with open_backend(settings, around) as backend:
        yield tree(make_instance(settings, backend, Sockets(()), base, {"database": base.check("database")}))


def embedded(tmp_path: Path) -> Settings:
    return Settings(database=Database(data_dir=tmp_path))


def postgres(_: Path) -> Settings:
    return Settings(database=Database(url="postgresql://titan@localhost/titan"))


def shared(_: Path) -> Settings:
    """Everything that several instances may share."""
    return Settings(
        database=Database(url="postgresql://titan@localhost/titan", read_url="postgresql://titan@localhost/titan"),
        redis=Redis(url="redis://localhost:6379/0"),
    )


@pytest.mark.parametrize("settings", [embedded, postgres, shared])
@pytest.mark.parametrize("drain_delay_s", [0.0, 3.0])
async def test_no_child_may_take_longer_to_stop_than_the_check_of_the_hard_deadline_assumes(
    tmp_path, settings, drain_delay_s
):
    asked = settings(tmp_path).model_copy(update={"http": Http(drain_delay_s=drain_delay_s)})
    async with tree_of(asked) as spec:
        longest_s = max(child.stop_budget_s for child in children(spec))
    assert longest_s - drain_delay_s <= LONGEST_SHUTDOWN_S


def drawing(node: Child | Supervisor, indent: str = "", branch: str = "") -> Iterator[str]:
    """Draw a tree as the README shows it."""
    kind = node.strategy.value if isinstance(node, Supervisor) else node.restart.value
    yield f"{branch + node.name:<32} {kind:<13} {node.why}"
    below = node.children if isinstance(node, Supervisor) else ()
    for child in below:
        last = child is below[-1]
        yield from drawing(child, indent + ("   " if last else "│  "), indent + ("└─ " if last else "├─ "))


@pytest.mark.parametrize("settings", [embedded, shared])
async def test_the_readme_draws_this_tree(tmp_path, settings):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    mark = f"tree:{settings.__name__}"
    drawn = readme.partition(f"<!-- {mark}:begin -->\n```\n")[2].partition(f"```\n<!-- {mark}:end -->")[0]
    async with tree_of(settings(tmp_path)) as spec:
        assert drawn == "".join(f"{line}\n" for line in drawing(spec))


async def test_without_redis_there_is_no_actor_for_it(tmp_path):
    async with tree_of(postgres(tmp_path)) as spec:
        assert "cache" not in {child.name for child in children(spec)}
