"""The package works without anything else of this repository."""

import shutil
import subprocess
import sys
from pathlib import Path

import supervisors.kernel

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import trio
from supervisors.kernel import Child, Context, Supervisor, open_tree

async def clock(ctx: Context) -> None:
    ctx.started()
    await trio.sleep_forever()

async def main() -> None:
    spec = Supervisor(name="shop", children=(Child(name="clock", run=clock),))
    async with open_tree(spec) as tree:
        print(*(f"{node.path}={node.state.value}" for node in tree.snapshot().walk()))

trio.run(main)
print(*sorted(name for name in sys.modules if name.partition(".")[0] in ("supervisors", "titan")))
"""


def test_the_kernel_runs_alone(tmp_path):
    kernel = Path(supervisors.kernel.__file__).parent
    shutil.copytree(kernel, tmp_path / "supervisors" / "kernel", ignore=shutil.ignore_patterns("__pycache__"))
    run = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(tmp_path)], check=True, capture_output=True, text=True, timeout=60
    )
    tree, modules = run.stdout.splitlines()
    assert tree == "shop=running shop/clock=running"
    assert set(modules.split()) == {"supervisors", "supervisors.kernel"} | {
        f"supervisors.kernel.{path.stem}" for path in kernel.glob("*.py") if path.stem != "__init__"
    }
