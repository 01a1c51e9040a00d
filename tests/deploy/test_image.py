"""The image is made of what the lock names, and runs as the Deployment says: no root, nothing to write on, drained."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.bench import processes
from tests.support import image as images
from tests.support.containerfile import Copy, Run, read
from tests.support.documents import shell
from tests.support.image import CONTAINERFILE, Image
from tests.support.manifests import container, environment, mib, pod, seconds_of_sleep, secret_files, the
from tests.support.redis import running_redis
from tests.support.server import ROOT, free_port
from tests.support.waiting import wait_until
from titan.version import __version__

USER = pod()["spec"]["securityContext"]["runAsUser"]
FOLDER = "/run/secrets/titan-aas"
STARTS_WITHIN_S = 60.0  # this shows that it starts, not how fast; others work on the machine
ANSWERS_WITHIN_S = 20.0
STOPS_WITHIN_S = 25.0
MIB = 1024 * 1024
CACHE_TAKES = 1.25
"""Memory of a full cache for each byte that it counts; 1.16 measured with documents of 4 KB."""


def test_the_image_is_of_this_version_and_of_the_locks_python():
    build, final = read(CONTAINERFILE)
    assert final.labels["org.opencontainers.image.version"] == __version__
    assert build.base == final.base
    assert re.fullmatch(r"docker\.io/library/python:3\.11\.\d+-slim-bookworm", final.base)  # the lock is made for 3.11


def test_nothing_comes_in_without_a_hash():
    steps = [step.command for stage in read(CONTAINERFILE) for step in stage.steps if isinstance(step, Run)]
    installing = [step for step in steps if re.search(r"pip install|apt-get|curl|wget", step)]
    assert len(installing) == 1
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:", "requirements.lock"} <= set(installing[0].split())


def test_the_engine_gets_what_the_steps_copy_and_nothing_else():
    copied = [step for stage in read(CONTAINERFILE) for step in stage.steps if isinstance(step, Copy)]
    assert {name for step in copied if step.stage is None for name in step.sources} == images.sent_to_the_engine()


def test_the_image_runs_as_the_user_of_the_pods_and_stops_as_the_server_does():
    final = read(CONTAINERFILE)[-1]
    assert final.words["USER"] == f"{USER}:{USER}"
    assert final.words["STOPSIGNAL"] == "SIGTERM"
    assert final.words["EXPOSE"] == str(container()["ports"][0]["containerPort"])
    assert final.commands["HEALTHCHECK"] == ["titan", "check-health", "live"]


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Iterator[Image]:
    """The image, its steps carried out: half a minute, most of it waiting for the package index."""
    if reason := images.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("image")
    yield images.build(folder)
    subprocess.run(["rm", "-rf", folder], check=True)  # some hundred MB, which pytest would keep for a while


@contextlib.contextmanager
def running(command: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a container for the time of the block; whatever happens, it is gone afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    except BaseException as error:
        error.add_note(log.read_text(errors="replace")[-4000:])
        raise
    finally:
        process.kill()  # its only child goes with it
        process.wait()


def first_process(outer: int) -> int:
    """Return what is process 1 in there, as this machine counts."""
    (pid,) = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    return int(pid)


def answers(url: str) -> bool:
    """Ask as a kubelet does."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, timeout=2).status_code == 200
    return False


def create(url: str) -> int:
    """Post a shell; return the status."""
    return httpx.post(f"{url}/shells", json=shell("urn:image"), timeout=ANSWERS_WITHIN_S).status_code


@pytest.fixture
def address() -> dict[str, str]:
    """Loopback and a free port, instead of the Deployment's 0.0.0.0:8080."""
    return {"TITAN_HOST": "127.0.0.1", "TITAN_PORT": str(free_port())}


def test_the_image_migrates_serves_and_drains_as_the_manifests_run_it(image, address, postgres, tmp_path):
    """The Job's pod first, then the Deployment's, with their variables, user, files and read-only root."""
    with running_redis() as redis:
        urls = {"DATABASE_URL": postgres.create_database("image") + "\n", "REDIS_URL": redis.url()}
        mounts = {FOLDER: secret_files(tmp_path / "secret", urls, group=USER)}
        job = container("Job", "titan-aas-migrate")
        command = image.command(job["args"], environment=environment(job), user=USER, mounts=mounts)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert re.search(r"schema nothing -> \d+", done.stdout)

        variables = environment(container()) | address
        command = image.command(container()["args"], environment=variables, user=USER, mounts=mounts)
        url = f"http://127.0.0.1:{address['TITAN_PORT']}"
        with running(command, tmp_path / "log") as process:
            wait_until(lambda: answers(url + path("startupProbe")), within_s=STARTS_WITHIN_S, what="started")
            wait_until(lambda: answers(url + path("readinessProbe")), within_s=STARTS_WITHIN_S, what="ready")
            assert httpx.get(url + path("readinessProbe"), timeout=ANSWERS_WITHIN_S).json()["status"] == "ready"
            assert create(url) == 201
            one = first_process(process.pid)
            assert powers(one) == dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0)
            assert Path(f"/proc/{one}").stat().st_uid == USER
            assert_idle_memory_lets_the_autoscaler_go_down(one)

            check = image.command(
                ["live", "--timeout=20"],
                environment=variables,
                user=USER,
                mounts=mounts,
                entry=["titan", "check-health"],
            )
            assert subprocess.run(check, capture_output=True, text=True, timeout=60, check=False).stdout == "live\n"
            hook, *arguments = container()["lifecycle"]["preStop"]["exec"]["command"]
            before = image.command(arguments, environment=variables, user=USER, mounts=mounts, entry=[hook])
            stop_as_a_kubelet_does(process, before, f"{url}/shells")


def stop_as_a_kubelet_does(process: "subprocess.Popen[bytes]", before: Sequence[str], url: str) -> None:
    """While preStop runs every request is answered; then SIGTERM; all is over before the grace period."""
    began = time.monotonic()
    with subprocess.Popen(before) as hook:
        while hook.poll() is None:
            assert httpx.get(url, timeout=ANSWERS_WITHIN_S).status_code == 200
            time.sleep(0.05)
    assert (hook.returncode, time.monotonic() - began >= seconds_of_sleep()) == (0, True)
    os.kill(first_process(process.pid), signal.SIGTERM)
    assert process.wait(STOPS_WITHIN_S) == 0
    assert time.monotonic() - began < pod()["spec"]["terminationGracePeriodSeconds"]


def powers(pid: int) -> dict[str, int]:
    """Return a process' sets of capabilities."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(value, 16) for name, value in lines.items() if name.startswith("Cap")}


def path(probe: str) -> str:
    return str(container()[probe]["httpGet"]["path"])


def assert_idle_memory_lets_the_autoscaler_go_down(pid: int) -> None:
    """From 4 pods to 3: the use that 3 would have must not be above the target, with every pod's cache full, too."""
    scaler = the("HorizontalPodAutoscaler")["spec"]
    (target,) = [one["resource"]["target"] for one in scaler["metrics"] if one["resource"]["name"] == "memory"]
    share = target["averageUtilization"] / 100 * scaler["minReplicas"] / (scaler["minReplicas"] + 1)
    assert share == pytest.approx(0.6)
    cache = int(environment(container())["TITAN_CACHE__MEMORY_BYTES"]) / MIB * CACHE_TAKES
    idle = resident_mib(pid)
    request = mib(container()["resources"]["requests"]["memory"])
    assert idle + cache < share * request, f"{idle:.0f} MiB and a cache of {cache:.0f} MiB"


def resident_mib(root: int) -> float:
    """Add up what the processes have in memory; what they share counts for each, so it is rather too much."""
    return sum(
        int(line.split()[1]) / 1024
        for pid in processes.tree(root)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )


def test_the_image_alone_refuses_to_listen_for_everybody(image):
    """What `docker run IMAGE` does: 0.0.0.0 and no word of anonymous clients."""
    command = image.command(image.stage.commands["CMD"], environment={}, user=USER, mounts={})
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "TITAN_SECURITY__ALLOW_ANONYMOUS=true" in done.stderr


def test_nothing_can_be_written_or_installed_in_there(image):
    """And what the Deployment's preStop calls is there."""
    places = "/x /usr/local/x /opt/titan/x /tmp/x /var/lib/titan-aas/x"
    tries = f"for place in {places}; do touch $place; done; python3 -m pip --version; exec sleep 0"
    command = image.command(["-c", tries], environment={}, user=USER, mounts={}, entry=["sh"])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.count("Read-only file system") == len(places.split())
    assert "No module named pip" in done.stderr
    assert done.returncode == 0


def test_the_image_alone_keeps_its_documents_in_a_volume(image, address, tmp_path):
    """What `docker run --read-only -v titan:/var/lib/titan-aas IMAGE` does, once anonymous clients are allowed."""
    volume = tmp_path / "volume"
    volume.mkdir()
    os.chown(volume, USER, USER)
    command = image.command(["serve"], environment=address, user=USER, mounts={}, volume=volume)
    url = f"http://127.0.0.1:{address['TITAN_PORT']}"
    for status in (201, 409):  # the second time it is there
        with running(command, tmp_path / "log") as process:
            wait_until(lambda: answers(f"{url}/health/ready"), within_s=STARTS_WITHIN_S, what="ready")
            assert create(url) == status
            os.kill(first_process(process.pid), signal.SIGTERM)
            assert process.wait(STOPS_WITHIN_S) == 0
    assert [path.name for path in volume.iterdir() if path.suffix == ".db"] == ["titan.db"]


def has_engine() -> bool:
    """Tell whether docker is there and has a daemon that answers."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
    return False


def test_an_engine_builds_the_same():
    if not has_engine():
        pytest.skip("no container engine here")
    name = "titan-aas:test"
    build = ["docker", "build", "--quiet", "--file", str(CONTAINERFILE), "--tag", name, str(ROOT)]
    subprocess.run(build, check=True, timeout=600)
    run = ["docker", "run", "--rm", "--read-only", "--cap-drop=ALL", name, "--version"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"titan {__version__}\n"
