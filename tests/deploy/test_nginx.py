"""The nginx file that users get is one that nginx takes, and puts no instance aside."""

import re
import subprocess

from tests.support.nginx import CONFIGURATION, arguments, program, render


def test_nginx_takes_it_without_a_word_of_warning(tmp_path):
    command = [program(), "-t", *arguments(tmp_path, render(18080, [18081, 18082, 18083]))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_no_instance_is_ever_put_aside():
    servers = re.findall(r"^\s*server titan-\d+:8080 (.*);$", CONFIGURATION.read_text(), re.MULTILINE)
    assert len(servers) == 3
    assert all("max_fails=0" in options.split() for options in servers)
