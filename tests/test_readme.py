"""The README's example works as it stands there: the server, the import, the three calls."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.support.server import clean_environment, serving

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8080"


def example() -> str:
    """Return the commands between the markers."""
    [block] = re.findall(r"<!-- example:begin -->\n```\w*\n(.*?)```\n<!-- example:end -->", README, re.DOTALL)
    return str(block)


def json_in(text: str) -> list[Any]:
    """Return the JSON objects that stand in the text one after the other, after anything else."""
    decoder = json.JSONDecoder()
    found, at = [], text.find("{")
    while at != -1:
        value, end = decoder.raw_decode(text, at)
        found.append(value)
        at = text.find("{", end)
    return found


def test_the_example_does_what_the_readme_says(tmp_path):
    assert "./dev serve" in README
    environment = json.loads((ROOT / "deploy/examples/pump-station.json").read_text())
    documents = {item["id"]: item for items in environment.values() for item in items}
    with serving(tmp_path / "data", program=[str(ROOT / "dev"), "serve"]) as server:
        commands = example()
        assert commands.count(ADDRESS) == 3
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands.replace(ADDRESS, server.url)],
            cwd=ROOT,
            env=clean_environment({"TITAN_DATA_DIR": str(server.data_dir)}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    shown = json_in(done.stdout)
    assert [item["modelType"] for item in shown] == ["AssetAdministrationShell", "Submodel", "ConceptDescription"]
    assert [item == documents[item["id"]] for item in shown] == [True] * 3
