"""What the README says is so, as far as that can be seen without a cluster."""

import os
import re
import shlex
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

from tests.support.kubernetes_api import kubernetes_api
from tests.support.manifests import BASE, KUBERNETES, container, documents, pod, rendered
from tests.support.prometheus import promtool
from titan.version import __version__

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


needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")


@needs_kubectl
def test_everything_comes_first_but_the_server(tmp_path):
    """The two `kubectl apply` of the install, by the real program: what it would make where there is nothing."""
    first, second = re.findall(r"^(kubectl apply -k .*?) *(?:#.*)?$", blocks("bash")[0], re.MULTILINE)
    made = []
    with kubernetes_api(tmp_path, []) as kubeconfig:
        for command in (first, second):
            words = [
                *shlex.split(command),
                "--dry-run=client",
                "--validate=false",
                "--output=name",
                "--request-timeout=20s",
            ]
            folder = KUBERNETES / "overlays" / "example"
            variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig)}
            done = subprocess.run(
                words, cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
            made.append(set(done.stdout.split()))
    assert made[1] - made[0] == {"deployment.apps/titan-aas", "horizontalpodautoscaler.autoscaling/titan-aas"}
    assert {"namespace/twins", "job.batch/titan-aas-migrate", "networkpolicy.networking.k8s.io/titan-aas"} < made[0]
    assert any(name.startswith("secret/titan-aas-") for name in made[0])
    assert made[0] < made[1]


@needs_kubectl
@pytest.mark.parametrize(
    ("verb", "image", "arguments"),
    [
        ("set image", "ghcr.io/hadijannat/titan-aas:v1.2.0", ["db", "upgrade"]),
        ("patch", f"ghcr.io/hadijannat/titan-aas:v{__version__}", ["db", "downgrade", "-1"]),
    ],
)
def test_the_migrations_job_is_made_as_needed_without_a_cluster(verb, image, arguments):
    """What is piped into `kubectl apply`, by the real program."""
    (command,) = re.findall(rf"^(kubectl {verb} --local [^|]*) \| kubectl apply -f -$", README, re.MULTILINE)
    words = ["bash", "-c", command]
    done = subprocess.run(words, cwd=KUBERNETES, capture_output=True, text=True, timeout=60, check=True)
    (job,) = documents(done.stdout)
    kubernetes_validate.validate(job, "1.37", strict=True)
    (made,) = job["spec"]["template"]["spec"]["containers"]
    assert (made["image"], made["args"]) == (image, arguments)
    assert {**made, "image": "", "args": []} == {**container("Job", "titan-aas-migrate"), "image": "", "args": []}


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
