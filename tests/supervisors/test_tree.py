"""The tree keeps what the settings were told about it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisors.instance import Sockets, State, make_instance
from supervisors.kernel import Child, Supervisor
from supervisors.tree import tree
from titan.settings import Http, Settings
from titan.settings_load import LONGEST_SHUTDOWN_S
from titan.store.sqlite.store import SqliteStore
from titan.telemetry.log import make_log
from titan.telemetry.sdnotify import Notifier


def children(node: Child | Supervisor) -> Iterator[Child]:
    if isinstance(node, Child):
        yield node
    else:
        for below in node.children:
            yield from children(below)


@pytest.mark.parametrize("drain_delay_s", [0.0, 3.0])
def test_no_child_may_take_longer_to_stop_than_the_check_of_the_hard_deadline_assumes(tmp_path, drain_delay_s):
    settings = Settings(http=Http(drain_delay_s=drain_delay_s))
    log = make_log(lambda _: None)
    instance = make_instance(settings, SqliteStore(tmp_path / "titan.db"), Sockets(()), log, Notifier(None), State())
    longest_s = max(child.stop_budget_s for child in children(tree(instance)))
    assert longest_s - drain_delay_s <= LONGEST_SHUTDOWN_S


def drawing(node: Child | Supervisor, indent: str = "", branch: str = "") -> Iterator[str]:
    """Draw a tree as the README shows it."""
    kind = node.strategy.value if isinstance(node, Supervisor) else node.restart.value
    yield f"{branch + node.name:<20} {kind:<13} {node.why}"
    below = node.children if isinstance(node, Supervisor) else ()
    for child in below:
        last = child is below[-1]
        yield from drawing(child, indent + ("   " if last else "│  "), indent + ("└─ " if last else "├─ "))


def test_the_readme_draws_this_tree(tmp_path):
    log = make_log(lambda _: None)
    instance = make_instance(Settings(), SqliteStore(tmp_path / "titan.db"), Sockets(()), log, Notifier(None), State())
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    drawn = readme.partition("<!-- tree:begin -->\n```\n")[2].partition("```\n<!-- tree:end -->")[0]
    assert drawn == "".join(f"{line}\n" for line in drawing(tree(instance)))
