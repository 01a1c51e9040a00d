"""What the README says is so, as far as that can be seen without a cluster."""

import re
import shutil
import subprocess

import pytest
import yaml

from tests.support.manifests import BASE, KUBERNETES, container, documents, pod, rendered
from tests.support.prometheus import promtool

README = (KUBERNETES / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", blocks("bash"))
def test_the_commands_are_well_formed_and_name_what_is_there(block):
    subprocess.run(["bash", "-n"], input=block.encode(), check=True, timeout=10)
    objects = {f"{one['kind'].lower()}/{one['metadata']['name']}" for one in rendered()}
    assert set(re.findall(r"(?:deployment|job)/[\w-]+", block)) <= objects
    assert set(re.findall(r"-f (\S+\.yaml)", block)) <= {f"base/{path.name}" for path in BASE.iterdir()}


def test_everything_but_the_server_comes_first():
    """The selector of the first command leaves out what runs the new version, and only that."""
    ((name, value),) = set(re.findall(r"-l '([\w./-]+)!=(\w+)'", README))
    held_back = {one["kind"] for one in rendered() if one["metadata"].get("labels", {}).get(name) == value}
    assert held_back == {"Deployment", "HorizontalPodAutoscaler"}


def test_the_migration_is_given_the_new_version_without_a_cluster():
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    (command,) = re.findall(r"^(kubectl set image --local .*?) \| kubectl apply -f -$", README, re.MULTILINE)
    done = subprocess.run(command.split(), cwd=KUBERNETES, capture_output=True, text=True, timeout=60, check=True)
    (job,) = documents(done.stdout)
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "ghcr.io/hadijannat/titan-aas:v1.2.0"


def test_prometheus_takes_what_is_done_with_the_pods_it_finds(tmp_path):
    """All but the discovery, which Debian builds Prometheus without."""
    (block,) = blocks("yaml")
    (scrape,) = documents(block)[0]["scrape_configs"]
    discovery = scrape.pop("kubernetes_sd_configs")
    assert discovery == [{"role": "pod", "namespaces": {"names": ["twins"]}}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    promtool("check", "config", tmp_path / "prometheus.yml")
    wanted = [pod()["metadata"]["labels"]["app"], container()["ports"][0]["name"], "Running"]
    assert scrape["relabel_configs"][0]["regex"].split(";") == wanted
    assert scrape["job_name"] == "titan-aas"  # what the alerts ask for
