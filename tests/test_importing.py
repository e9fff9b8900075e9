"""Imports within functions: a fork waits for those of other threads."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import im2col

from .kit.outcomes import require
from .kit.processes import HANG_SECONDS
from .kit.selection import one_in

PACKAGE = Path(im2col.__file__).parent
ALONE = {"cli", "photo", "demo.py"}
"""What only the command line runs, which forks nothing."""

FORK_MEANWHILE = """
import os, signal, sys, threading, time
import numpy as np
import im2col

class Slow:
    begun = threading.Event()
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1] and not self.begun.is_set():
            self.begun.set()
            time.sleep(0.5)  # Python holds the module's lock meanwhile

def call():
    x, w = np.ones((1, 64, 40, 40), np.float32), np.ones((64, 64, 3, 3), np.float32)
    assert im2col.conv2d(x, w, padding=1, threads=2)[0, 0, 1, 1] == 576
    assert im2col.im2col(x, 3).shape == (1, 1444, 576)

sys.meta_path.insert(0, Slow())
thread = threading.Thread(target=call)
thread.start()
assert Slow.begun.wait(60), "nobody imports it"
child = os.fork()
if child == 0:
    signal.alarm(60)
    call()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
thread.join()
"""


def lazy_imports(tree: ast.AST) -> list[ast.AST]:
    """Return the imports within functions, by statement or by ``import_module``, that hold no lock."""
    found: list[ast.AST] = []

    def visit(node: ast.AST, within: bool, held: bool) -> None:
        called = isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func)
        if (called or isinstance(node, ast.Import | ast.ImportFrom)) and within and not held:
            found.append(node)
        within = within or isinstance(node, ast.FunctionDef)
        if isinstance(node, ast.With):
            held = held or any(ast.unparse(item.context_expr) in {"importing", "_importing"} for item in node.items)
        for child in ast.iter_child_nodes(node):
            visit(child, within, held)

    visit(tree, within=False, held=False)
    return found


def test_every_import_within_a_function_holds_the_lock() -> None:
    """A module that is imported by a call is imported under the lock that a fork waits for."""
    unheld = [
        f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)} {ast.unparse(node)}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in ALONE
        for node in lazy_imports(ast.parse(path.read_text()))
    ]
    assert unheld == []


def test_what_holds_no_lock_is_found() -> None:
    """The eye of the test above: statements and calls, in nested blocks, but neither at the top nor under the lock."""
    text = """
import a
def f():
    if 1:
        import b
    with importing:
        import c
    return lambda: importlib.import_module("d")
"""
    assert [ast.unparse(node) for node in lazy_imports(ast.parse(text))] == [
        "import b",
        "importlib.import_module('d')",
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(
    "module",
    one_in(
        2,
        [
            "im2col.algorithms.implicit",
            "im2col.algorithms.implicit.decide",
            "llvmlite.binding",
            "im2col.engine.gather_plan",
        ],
    ),
)
def test_a_fork_while_another_thread_imports(module: str, tmp_path: Path) -> None:
    """The child can import what the other thread had begun to import."""
    require("llvmlite")
    subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK_MEANWHILE, module],
        check=True,
        env=os.environ | {"IM2COL_CACHE_DIR": str(tmp_path)},  # or no LLVM would be needed
        timeout=HANG_SECONDS,
    )
