"""The operator's kubectl and its helpers run in the operator's environment."""

import sys

import pytest

from titan.ha.evidence import Unknown
from titan.ha.kubectl import namespace_seen

SHOWS_ITS_ENVIRONMENT = """#!/bin/sh
echo "${PYTHONHOME-none} ${PYTHONPATH-none} ${LD_LIBRARY_PATH-none} ${KUBECONFIG-none}" >&2
exit 1
"""


@pytest.mark.parametrize(
    ("libraries", "seen"),
    [(f"{sys.prefix}/lib", "none none none /k"), ("/their/lib", f"{sys.prefix} /code /their/lib /k")],
)
def test_what_the_single_binary_sets_for_itself_is_not_handed_on(monkeypatch, tmp_path, libraries, seen):
    (tmp_path / "kubectl").write_text(SHOWS_ITS_ENVIRONMENT)
    (tmp_path / "kubectl").chmod(0o755)
    given = {"PYTHONHOME": sys.prefix, "PYTHONPATH": "/code", "LD_LIBRARY_PATH": libraries, "KUBECONFIG": "/k"}
    for name, value in {"PATH": str(tmp_path), **given}.items():
        monkeypatch.setenv(name, value)
    assert namespace_seen(None, within_s=20) == Unknown(f"kubectl: {seen}")
