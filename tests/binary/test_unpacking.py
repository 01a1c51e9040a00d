"""How the binary unpacks itself: whole or not at all, once, sealed off, and nothing is left that nobody runs from."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.bare_root import USER, BareRoot, family, folders, own, serving_inside
from tests.support.server import Server
from tests.support.waiting import wait_until
from titan.model.identifiers import encode_identifier


def test_a_start_that_is_killed_while_unpacking_leaves_nothing_that_runs_or_stays(bare):
    with subprocess.Popen(bare.command("--version")) as process:
        wait_until(lambda: list(bare.program.glob("*.unpacking/*")), within_s=30, what="the unpacking")
        process.kill()
    assert [name.endswith(".unpacking") for name in folders(bare)] == [True]
    bare.titan("--version")
    assert folders(bare) == [own(bare).name]


def test_starts_at_the_same_time_unpack_once(bare):
    starting = [subprocess.Popen(bare.command("--version"), stderr=subprocess.PIPE) for _ in range(4)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in starting] == [(b"", 0)] * 4
    assert folders(bare) == [own(bare).name]


def test_other_versions_go_unless_somebody_runs_from_them(unpacked):
    current = own(unpacked)
    killed, running = "0.0.1-0123456789ab", "0.0.2-0123456789ab"
    for name in (killed, f"{killed}.damaged-7", running):
        shutil.copytree(current / "licences", unpacked.program / name / "licences")
        (unpacked.program / name / "lock").touch()
    _give(unpacked.program)
    with (unpacked.program / running / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        unpacked.titan("--version")
        assert folders(unpacked) == [running, current.name]
    unpacked.titan("--version")
    assert folders(unpacked) == [current.name]


def test_what_somebody_else_keeps_in_a_folder_of_that_name_is_left_alone(bare):
    bare.program.mkdir(0o700)
    for name in ("thesis", "2024-report", "1-0123456789ab0", "x-0123456789ab"):
        (bare.program / name).mkdir()
        (bare.program / name / "pages").touch()
    _give(bare.program)
    bare.titan("--version")
    assert {"thesis", "2024-report", "1-0123456789ab0", "x-0123456789ab"} < set(folders(bare))
    assert (bare.program / "thesis" / "pages").exists()


def test_a_server_goes_on_while_what_it_runs_from_is_damaged_and_unpacked_anew(bare):
    with serving_inside(bare) as server:
        current = own(bare)
        assert is_in_use(current)
        (current / "app/titan/version.py").unlink()
        bare.titan("--version")
        [aside] = [bare.program / name for name in folders(bare) if name != current.name]
        assert is_in_use(aside)
        [writer] = family(bare) - {server.pid}
        os.kill(writer, signal.SIGKILL)  # the next one is started from the new files
        wait_until(lambda: write(server).is_success, what="a write")
        server.terminate()
        assert server.wait() == 0
    bare.titan("--version")
    assert folders(bare) == [current.name]
    assert not is_in_use(current)


def write(server: Server) -> httpx.Response:
    return httpx.put(
        f"{server.url}/submodels/{encode_identifier('urn:x:1')}", json={"modelType": "Submodel", "id": "urn:x:1"}
    )


def is_in_use(folder: Path) -> bool:
    with (folder / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("damage", ["shorter", "changed", "missing", "a link"])
def test_what_is_damaged_is_unpacked_anew(unpacked, damage):
    file = own(unpacked) / "app/titan/version.py"
    whole = file.read_bytes()
    if damage == "shorter":
        file.write_bytes(whole[:-1])
    elif damage == "changed":
        file.write_bytes(whole.replace(b"0", b"1"))
    else:
        file.unlink()
        if damage == "a link":
            file.symlink_to("/state/elsewhere")
    done = unpacked.titan("--version")
    assert "is damaged or incomplete: unpacked anew" in done.stderr
    assert file.read_bytes() == whole
    assert folders(unpacked) == [own(unpacked).name]
    assert unpacked.titan("--version").stderr == ""


def test_nothing_of_the_callers_python_gets_in(unpacked):
    (unpacked.state / "click.py").write_text("raise SystemExit('not mine')")
    hostile = dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"), "/state") | {"PYTHONINSPECT": "1"}
    assert unpacked.titan("--version", **hostile).stdout.startswith("titan ")


def test_a_cut_file_says_that_it_is_damaged(bare):
    os.truncate(bare.path / "titan", (bare.path / "titan").stat().st_size - 100)
    assert "fetch it again and compare its checksum" in bare.titan("--version", code=1).stderr
    assert not bare.program.exists()


def test_a_changed_byte_is_seen_before_anything_is_written(bare):
    with (bare.path / "titan").open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([byte[0] ^ 1]))
    assert "fetch it again and compare its checksum" in bare.titan("--version", code=1).stderr
    assert folders(bare) == []


def test_a_disk_that_is_full_or_forbids_programs_is_told(built, tmp_path):
    root = BareRoot(tmp_path, built.path)
    with mounted(root.state, f"size=20M,mode=700,uid={USER}"):
        assert "No space left on device" in root.titan("--version", code=1).stderr
        assert folders(root) == []
    with mounted(root.state, f"noexec,mode=700,uid={USER}"):
        assert "noexec" in root.titan("--version", code=1).stderr


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_state_folder_that_cannot_be_used_is_named_with_what_to_do(bare):
    assert "/nowhere" in (said := bare.titan("--version", code=1, TITAN_DATA_DIR="/nowhere").stderr)
    assert "TITAN_DATA_DIR names another" in said
    os.chown(bare.state, 0, 0)
    assert "/state/program" in bare.titan("--version", code=1).stderr


def test_it_runs_from_no_folder_that_somebody_else_can_write(unpacked):
    unpacked.program.chmod(0o770)
    assert "can be written by others" in unpacked.titan("--version", code=1).stderr
    unpacked.program.chmod(0o700)
    os.chown(unpacked.program, USER + 1, USER)
    try:
        assert "run this as the user that it belongs to" in unpacked.titan("--version", code=1).stderr
        unpacked.program.chmod(0o755)
        assert f"belongs to user {USER + 1}" in unpacked.titan("--version", code=1).stderr
    finally:
        unpacked.program.chmod(0o700)
        os.chown(unpacked.program, USER, USER)


def test_the_state_folder_is_found_as_the_settings_find_it(built, tmp_path):
    def unpacks_to(*arguments: str, **environment: str) -> str:
        folder = tmp_path / str(time.monotonic_ns())
        folder.mkdir()
        given = {name: value.format(folder) for name, value in environment.items()}
        subprocess.run([built.path, *arguments], cwd=folder, env=given, check=True, capture_output=True)
        [program] = folder.rglob("program")
        return str(program.relative_to(folder))

    home = {"HOME": "{}/home"}
    assert unpacks_to("serve", "--help", TITAN_DATA_DIR="{}/a", STATE_DIRECTORY="{}/b", **home) == "a/program"
    assert unpacks_to("serve", "--help", TITAN_DATA_DIR="", STATE_DIRECTORY="{0}/b:{0}/c", **home) == "b/program"
    assert unpacks_to("serve", "--help", **home) == "titan-data/program"
    assert unpacks_to("--version") == "titan-data/program"
    assert unpacks_to("--version", **home) == "home/.cache/titan-aas/program"  # no litter where a command is given


def _give(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, USER, USER)
