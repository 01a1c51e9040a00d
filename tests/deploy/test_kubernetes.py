"""The manifests are what Kubernetes takes, and they fit each other and the server."""

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterable

import kubernetes_validate
import pytest

from tests.support.manifests import (
    BASE,
    KUBERNETES,
    Object,
    container,
    documents,
    environment,
    pod,
    rendered,
    seconds_of_sleep,
    secret_files,
    the,
)
from tests.support.server import ROOT
from titan.exits import ExitCode
from titan.settings import Settings
from titan.settings_load import Loaded, SettingsError, load
from titan.version import __version__

IMAGE = f"ghcr.io/hadijannat/titan-aas:v{__version__}"
WORKLOADS = [("Deployment", "titan-aas"), ("Job", "titan-aas-migrate")]
VERSIONS = ["1.29", "1.33", "1.37"]
"""Of Kubernetes: the oldest that knows each field used here, the newest of the validator, one between."""
STILL_STOPPING = 2
"""Pods beyond maxSurge that may still be stopping: while they do, a rolling update no longer counts them."""


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version):
    for one in [*rendered(), *documents((BASE / "secret.example.yaml").read_text())]:
        kubernetes_validate.validate(one, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found():
    wrong = copy.deepcopy(dict(the("Deployment")))
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def kustomize(folder: str) -> list[Object]:
    """Have kubectl render a kustomization."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    command = ["kubectl", "kustomize", str(KUBERNETES / folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def test_kustomize_makes_of_the_base_what_these_tests_look_at():
    def sortable(objects: Iterable[Object]) -> list[str]:
        return sorted(json.dumps(one, sort_keys=True) for one in objects)

    assert sortable(kustomize("base")) == sortable(rendered())


def test_every_file_is_used():
    (kustomization,) = documents((BASE / "kustomization.yaml").read_text())
    used = {"kustomization.yaml", "secret.example.yaml", *kustomization["resources"]}
    assert {path.name for path in BASE.iterdir()} == used
    overlay = {path.name for path in (KUBERNETES / "overlays" / "example").iterdir()}
    assert overlay == {"kustomization.yaml", "namespace.yaml", "ingress-controller.yaml"}


def test_the_overlay_changes_the_host_the_version_and_the_secrets_and_opens_the_door_for_the_controller():
    objects = kustomize("overlays/example")
    for one in objects:
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "twins"
    by_kind = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    (secret,) = [one for one in objects if one["kind"] == "Secret"]
    for kind, name in WORKLOADS:
        spec = by_kind[kind, name]["spec"]["template"]["spec"]
        assert spec["containers"][0]["image"] == "registry.example.com/titan-aas:v1.2.0"
        assert spec["volumes"][0]["secret"]["secretName"] == secret["metadata"]["name"] != "titan-aas"
    ingress = by_kind["Ingress", "titan-aas"]["spec"]
    assert ingress["rules"][0]["host"] == ingress["tls"][0]["hosts"][0] == "twins.example.com"
    namespace = by_kind["Namespace", "twins"]["metadata"]["labels"]
    assert namespace["pod-security.kubernetes.io/enforce"] == "restricted"
    assert ("NetworkPolicy", "titan-aas-ingress-controller") in by_kind


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_the_image_is_of_this_version(kind, name):
    assert container(kind, name)["image"] == IMAGE


def loaded(variables: dict[str, str], folder) -> Loaded:
    """Load the settings of a container, with the example's secret where it is mounted."""
    (secret,) = documents((BASE / "secret.example.yaml").read_text())
    place = secret_files(folder / "secret", secret["stringData"])
    mounted = "/run/secrets/titan-aas/"
    return load({name: value.replace(mounted, f"{place}/") for name, value in variables.items()})


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_every_variable_is_a_setting_that_takes_its_value(kind, name, tmp_path):
    """Whatever is unknown, wrong, or at odds with another is refused at load."""
    variables = environment(container(kind, name))
    found = loaded(variables, tmp_path)
    assert len(found.given) == len(variables)
    assert found.settings.database.postgres_url is not None


def test_a_variable_that_is_no_setting_is_found(tmp_path):
    with pytest.raises(SettingsError, match="TITAN_HTTP__PROT"):
        loaded(environment(container()) | {"TITAN_HTTP__PROT": "1"}, tmp_path)


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_the_secrets_files_are_mounted_where_the_variables_look_for_them(kind, name):
    (mount,) = container(kind, name)["volumeMounts"]
    (volume,) = pod(kind, name)["spec"]["volumes"]
    assert (mount["name"], mount["readOnly"]) == (volume["name"], True)
    assert volume["secret"]["secretName"] == "titan-aas"
    (secret,) = documents((BASE / "secret.example.yaml").read_text())
    assert secret["metadata"]["name"] == "titan-aas"
    named = {f"{mount['mountPath']}/{key}" for key in secret["stringData"]}
    assert {value for key, value in environment(container(kind, name)).items() if key.endswith("_FILE")} <= named
    assert not {"DATABASE_URL", "REDIS_URL"} & set(environment(container(kind, name)))


def test_the_example_of_a_secret_holds_none():
    (secret,) = documents((BASE / "secret.example.yaml").read_text())
    assert re.findall(r"://\w+:([^@]*)@", " ".join(secret["stringData"].values())) == ["CHANGE-ME"]


def test_it_listens_where_everybody_looks_for_it(tmp_path):
    settings = loaded(environment(container()), tmp_path).settings
    (port,) = container()["ports"]
    assert settings.http.port == port["containerPort"] == Settings().http.port
    assert settings.http.host == "0.0.0.0"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container()[probe]["httpGet"]["port"] == port["name"]
    (of_service,) = the("Service")["spec"]["ports"]
    assert (of_service["targetPort"], of_service["port"]) == (port["name"], port["containerPort"])
    for rule in the("NetworkPolicy")["spec"]["ingress"]:
        assert rule["ports"] == [{"protocol": "TCP", "port": port["name"]}]
    for rule in the("Ingress")["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            service = path["backend"]["service"]
            assert service["port"]["name"] in {one["name"] for one in the("Service", service["name"])["spec"]["ports"]}


def test_what_is_for_operators_is_not_behind_the_ingress():
    (rule,) = the("Ingress")["spec"]["rules"]
    to = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    assert to == {"/": "titan-aas", "/metrics": "titan-aas-nobody", "/system": "titan-aas-nobody"}
    assert "selector" not in the("Service", "titan-aas-nobody")["spec"]


def test_everything_selects_the_servers_pods_and_not_the_jobs():
    labels = pod()["metadata"]["labels"]
    selectors = [
        the("Deployment")["spec"]["selector"]["matchLabels"],
        the("Service")["spec"]["selector"],
        the("PodDisruptionBudget", "titan-aas-pdb")["spec"]["selector"]["matchLabels"],
        the("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    job = pod("Job", "titan-aas-migrate")["metadata"]["labels"]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= job.items()
    policy = the("NetworkPolicy", "titan-aas-migrate")["spec"]["podSelector"]["matchLabels"]
    assert policy.items() <= job.items()


def test_the_migration_is_not_tried_again_where_that_is_of_no_use():
    (rule,) = the("Job", "titan-aas-migrate")["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container("Job", "titan-aas-migrate")["name"]
    assert rule["onExitCodes"]["values"] == [ExitCode.USAGE, ExitCode.SCHEMA]
    assert pod("Job", "titan-aas-migrate")["spec"]["restartPolicy"] == "Never"


def test_nobody_but_the_autoscaler_says_how_many():
    assert "replicas" not in the("Deployment")["spec"]
    scaler = the("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "titan-aas"}
    assert the("PodDisruptionBudget", "titan-aas-pdb")["spec"]["minAvailable"] < scaler["minReplicas"]


def test_a_stop_is_over_before_the_kubelet_loses_its_patience(tmp_path):
    deadline_s = loaded(environment(container()), tmp_path).settings.process.hard_deadline_s
    grace_s = pod()["spec"]["terminationGracePeriodSeconds"]
    assert (seconds_of_sleep(), deadline_s, grace_s) == (5, 20, 30)
    assert seconds_of_sleep() + deadline_s < grace_s


def test_a_pod_that_cannot_serve_is_taken_out_as_fast_as_the_guide_asks():
    """It names five seconds between two looks; the server itself knows within two."""
    probe = container()["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] <= 5


def test_connections_are_counted_right(tmp_path):
    """The comment beside the setting, PostgreSQL's page and the README name the same figures."""
    pool = loaded(environment(container()), tmp_path).settings.database.pool_size
    of_one = pool + 2
    surge = the("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    pods = the("HorizontalPodAutoscaler")["spec"]["maxReplicas"] + surge + STILL_STOPPING
    for text in ((BASE / "deployment.yaml").read_text(), (KUBERNETES / "README.md").read_text()):
        assert f"{pods} × {of_one} = {pods * of_one}" in re.sub(r"\n\s*#", "", text)
        assert "`max_connections`" in text or "max_connections to 300" in text
    assert pods * of_one < 300
    assert f"instances × {of_one}" in (ROOT / "deploy/postgresql.md").read_text()
