"""Processes of our own that run one of our modules: with the same Python, and with this very code.

Not with what lies in the folder that the server was started in: a file struct.py there is somebody else's.
"""

import os
import sys
from pathlib import Path

_CODE = str(Path(__file__).parents[3])


def command(module: str) -> list[str]:
    """Return the command that runs a module; its arguments go behind."""
    return [sys.executable, "-P", "-m", module]


def environment(**more: str) -> dict[str, str]:
    """Return the environment that such a process needs, and `more`."""
    path = os.pathsep.join(filter(None, [_CODE, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **more}
