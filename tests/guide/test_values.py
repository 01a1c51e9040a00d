"""Values of the guide that are ours to keep and are in no manifest: the balancer's lines, the tasks' intervals."""

import re

from tests.support.nginx import CONFIGURATION
from tests.support.shared import shared
from titan.settings import Settings


def lines(text: str) -> list[str]:
    """Return directives, without comments; what is added to a server's line does not count."""
    bare = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [re.sub(r" max_fails=0;", ";", line) for line in bare if line not in ("", "}")]


def test_each_line_of_the_guides_configuration_is_in_ours():
    guide = shared("design/ha-guidance.md").read_text()
    [wanted] = re.findall(r"```nginx\n(.*?)```", guide, re.DOTALL)
    ours = lines(CONFIGURATION.read_text())
    assert [line for line in lines(wanted) if line not in ours] == []
    assert len(lines(wanted)) > 10


def test_the_tasks_run_as_often_as_the_guide_says():
    tasks = Settings().tasks
    guide = shared("design/ha-guidance.md").read_text()
    assert "| Blob cleanup | Every 6 hours |" in guide
    assert tasks.blob_cleanup_every_s == 6 * 3600
    assert "| Session cleanup | Every 15 min |" in guide
    assert tasks.session_cleanup_every_s == 15 * 60
    assert "| Metrics aggregation | Every 5 min |" in guide
    assert tasks.metrics_aggregation_every_s == 5 * 60
