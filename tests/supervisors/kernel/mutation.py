"""Mutation check: change the kernel's decisions one small thing at a time; every change must make a test fail.

    ./dev python -m tests.supervisors.kernel.mutation [FILE ...]

Prints each survivor. Exit 1 if one is not explained in EXPLAINED below, or if an explained one is killed after all.
Mutants run in forked processes on all cores; one that hangs is stopped and counts as killed.
"""

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import time
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Imported once, here, and not again in every mutant's process; but nothing of the kernel is.
import hypothesis
import hypothesis.stateful
import pytest
import pytest_trio.plugin  # type: ignore[import-untyped]  # noqa: F401
import trio.testing  # noqa: F401

ROOT = Path(__file__).resolve().parents[3]
KERNEL = ROOT / "supervisors" / "kernel"
TESTS = Path(__file__).parent
DECISIONS = ("strategy.py", "intensity.py", "backoff.py", "checks.py", "spec.py")
FILES = (*DECISIONS, "supervisor.py", "slot.py", "host.py", "leash.py", "mailbox.py")  # and what acts on them
# The tests take 3 s of CPU. A mutant that spins is stopped by the one, a mutant that waits for ever by the other.
CPU_S, WALL_S = 30, 90

# "file:function: before -> after": why no test can see the difference.
EXPLAINED: dict[str, str] = {}

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
}
CALLS = {"min": "max", "max": "min"}


@dataclass(frozen=True)
class Mutant:
    file: str
    function: str
    before: str
    after: str
    code: types.CodeType

    @property
    def name(self) -> str:
        return f"{self.file}:{self.function}: {self.before} -> {self.after}"


def mutations_of(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901, PLR0912 - one case per kind of change
    """The small changes of one node, each as a new node."""
    match node:
        case ast.Compare(left, [op], [right]) if type(op) in COMPARISONS:
            yield ast.Compare(left, [COMPARISONS[type(op)]()], [right])
        case ast.Compare(left, [first, second], rights):
            yield ast.Compare(left, [COMPARISONS[type(first)](), second], rights)
            yield ast.Compare(left, [first, COMPARISONS[type(second)]()], rights)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield from (values[0], values[-1])
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
            yield ast.BinOp(left, ARITHMETIC[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in ARITHMETIC:
            yield ast.AugAssign(target, ARITHMETIC[type(op)](), value)
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Call(ast.Name(name), args, keywords) if name in CALLS and len(args) > 1:
            yield ast.Call(ast.Name(CALLS[name], ast.Load()), args, keywords)
        case ast.Assign([ast.Name("__slots__")]):
            pass
        case ast.Expr(ast.Call() | ast.Await()) | ast.Assign() | ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.Return(ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Return(None):
            yield ast.Pass()
        case ast.If(test, _, _) if not isinstance(test, ast.Constant):
            yield ast.If(ast.Constant(True), node.body, node.orelse)
            yield ast.If(ast.Constant(False), node.body, node.orelse)


class Mutator(ast.NodeTransformer):
    """Applies change number `wanted` (counted over the whole module), or counts only."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.seen = wanted, -1
        self.done: tuple[str, str, str] | None = None
        self._functions: list[str] = []

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            return self._visit_definition(node)
        if isinstance(node, ast.Assert | ast.AnnAssign | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Raise):
            return node  # types, texts and what only says what must be true anyway
        if self._functions:
            for changed in mutations_of(node):
                self.seen += 1
                if self.seen == self.wanted:
                    self.done = ".".join(self._functions), brief(node), brief(changed)
                    return ast.copy_location(changed, node)
        return self.generic_visit(node)

    def _visit_definition(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if node.name in ("__init__", "__repr__") and "errors" in node.name:
            return node
        self._functions.append(node.name)
        node.body = [self.visit(part) for part in node.body]  # type: ignore[misc]
        self._functions.pop()
        return node


def brief(node: ast.AST) -> str:
    """The first line of a node's source, without the block of an `if`."""
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    return ast.unparse(ast.fix_missing_locations(node)).partition("\n")[0]


def mutants(file: str) -> Iterator[Mutant]:
    source, number = (KERNEL / file).read_text(), 0
    while True:
        tree, mutator = ast.parse(source), Mutator(number)
        mutator.visit(tree)
        changed = ast.fix_missing_locations(tree)
        if mutator.done is None:
            return
        function, before, after = mutator.done
        yield Mutant(file, function, before, after, compile(changed, str(KERNEL / file), "exec"))
        number += 1


class Importer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module of the kernel its mutated code."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"supervisors.kernel.{mutant.file.removesuffix('.py')}"
        self._code = mutant.code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self._name else None

    def exec_module(self, module: types.ModuleType) -> None:
        exec(self._code, module.__dict__)


def survivors_of(todo: Sequence[Mutant | None]) -> Iterator[Mutant | None]:
    """Run the tests on each mutant (None: the kernel as it is) each in a forked process of its own."""
    running: dict[int, Mutant | None] = {}
    waiting = list(reversed(todo))
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            mutant = waiting.pop()
            if (child := os.fork()) == 0:
                code = 1
                try:
                    code = run_tests(mutant)
                finally:
                    os._exit(code)
            running[child] = mutant
        child, status = os.wait()
        mutant = running.pop(child)
        if os.waitstatus_to_exitcode(status) == 0:
            yield mutant


def run_tests(mutant: Mutant | None) -> int:
    """Cheap and decisive tests first, the state machine last, until one fails."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    signal.alarm(WALL_S)
    os.environ["KERNEL_EXAMPLES"] = "60"
    # A failure is enough: nobody reads the smallest example.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("mutation", phases=phases, database=None)
    hypothesis.settings.load_profile("mutation")
    if mutant is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        sys.meta_path.insert(0, Importer(mutant))
    paths = {path.name: str(path) for path in TESTS.glob("test_*.py")}
    del paths["test_alone.py"], paths["test_manual.py"]  # they read the files, which are not changed
    decisions = [paths.pop(name) for name in ("test_decisions.py", "test_specs.py")]
    machine = paths.pop("test_machine.py")
    options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    stages = [decisions, sorted(paths.values()), ["--hypothesis-seed=0", machine]]
    if mutant is not None and mutant.file not in DECISIONS:
        stages = [*stages[1:], stages[0]]
    return int(any(pytest.main([*options, *stage]) for stage in stages))


def main() -> int:
    os.chdir(ROOT)
    began, files = time.monotonic(), sys.argv[1:] or FILES
    if not list(survivors_of([None])):
        print("the tests fail without any mutation")
        return 1
    todo = [mutant for file in files for mutant in mutants(file)]
    survivors = set()
    for mutant in survivors_of(todo):
        assert mutant is not None
        survivors.add(mutant.name)
        if mutant.name not in EXPLAINED:
            print(f"survives, not explained: {mutant.name}", flush=True)
    outdated = sorted(name for name in EXPLAINED.keys() - survivors if name.partition(":")[0] in files)
    for name in outdated:
        print(f"explained, but killed: {name}")
    took_s = time.monotonic() - began
    print(f"{len(todo)} mutants of {len(files)} files, {len(survivors)} survive, {took_s:.0f} s")
    return 1 if outdated or survivors - EXPLAINED.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
