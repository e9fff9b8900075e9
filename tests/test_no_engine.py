"""The library without its engine: nothing is loaded before it pays, and without llvmlite everything works.

Each test is a program of its own, in a process whose modules are as a user's are.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from im2col import plan

from .kit.no_engine import CORE
from .kit.outcomes import require
from .kit.processes import HANG_SECONDS
from .kit.selection import one_in

REPOSITORY = Path(__file__).parents[1]
SOURCES = os.pathsep.join(str(Path(each).resolve()) for each in sys.path if each)
"""Where this process finds modules, for those that run in another folder."""

BREAK = """
import sys

class Broken:
    '''Finds llvmlite before anybody else, and fails.'''
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "llvmlite":
            raise {error}

sys.meta_path.insert(0, Broken())
"""
WARNING = (
    "im2col's engine cannot be used ({}); NumPy does its work, with the same results but slower. "
    "Installing or repairing llvmlite brings it back"
)
LARGE = """
import warnings
import numpy as np
import im2col

x = (np.arange(4 * 250 * 253) % 11).astype(np.float32).reshape(4, 250, 253)
w = (np.arange(5 * 4 * 9) % 7).astype(np.float32).reshape(5, 4, 3, 3)
windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for threads in (1, 3):
        for orientation in ("rows", "columns"):
            matrix = im2col.im2col(x, 3, orientation=orientation, threads=threads)
            assert matrix.nbytes > 8 << 20
            order = (1, 2, 0, 3, 4) if orientation == "rows" else (0, 3, 4, 1, 2)
            assert (matrix == windows.transpose(order).reshape(matrix.shape)).all()
            mean = im2col.col2im(matrix, x.shape, 3, orientation=orientation, reduce="mean", threads=threads)
            assert (mean == x).all()
            padded = im2col.im2col(x, 3, padding=1, orientation=orientation, threads=threads)
            y = im2col.col2im(padded, x.shape, 3, padding=1, orientation=orientation, threads=threads)
            assert (y == x * im2col.overlap_count(x.shape, 3, padding=1)).all()
        result = im2col.conv2d(x, w, threads=threads)
        assert (result == np.einsum("chwyx,ncyx->nhw", windows, w, optimize=True)).all()
print(*[f"{type(each.message).__name__}: {each.message}" for each in caught], sep="\\n")
print("llvmlite" in sys.modules, im2col.show_config()["engine"], sep="\\n")
"""
SMALL = """
import sys
import numpy as np
import im2col

x, w = np.ones((3, 32, 32), np.float32), np.ones((8, 3, 3, 3), np.float32)
for _ in range(20):
    for dtype in (np.float32, np.int8, np.complex128):
        for orientation in ("rows", "columns"):
            matrix = im2col.im2col(x.astype(dtype), 3, padding=1, orientation=orientation)
            im2col.col2im(matrix, x.shape, 3, padding=1, orientation=orientation)
    im2col.conv2d(x, w, padding=1, algorithm="explicit")
    im2col.plan(x.shape, w, algorithm="explicit")(x)
print("llvmlite" in sys.modules)
"""


REFUSE = """
import threading

def refuse(thread, started=iter(range({most}))):
    if next(started, None) is None:
        raise RuntimeError("can't start new thread")
    start(thread)

start, threading.Thread.start = threading.Thread.start, refuse
"""
"""What Python does in a browser, and where a process may have no more threads than it has."""
EVERY_CALL = """
import warnings
import im2col
from tests.kit.calls import calls

# Bits that do not depend on the chunking are the engine's, or the definition's.
CHUNKED = dict.fromkeys(("convolve_blocks", "plan_blocks"), {"algorithm": "reference"})
im2col.set_threads(3)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", im2col.EngineWarning)
    for name, call in calls().items():
        call.function(**call.good() | CHUNKED.get(name, {}))
print(threading.active_count())
"""
PAGES = """
import contextlib
import doctest
import io
import re
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")  # the engine's, and what pages leave open
page, *guides = map(Path, sys.argv[1:])
blocks = re.findall("```python\\n(.+?)```", page.read_text("utf-8"), re.DOTALL)
for block in blocks:
    with contextlib.redirect_stdout(io.StringIO()):
        exec(block, {})
options = {"module_relative": False, "optionflags": doctest.NORMALIZE_WHITESPACE}
found = [doctest.testfile(str(guide), **options) for guide in guides]
failed, attempted = map(sum, zip(*found))
print(len(blocks), failed, attempted > 70, sys.modules["llvmlite"], threading.active_count())
"""


BLOCK = "import sys; sys.modules['llvmlite'] = None\n"
BREAK_LLVM = """
import llvmlite.binding as llvm

def broken(*_, **__):
    raise RuntimeError("no such CPU")

{function} = broken
"""
BREAK_KERNELS = """
from im2col.engine import compiler

def link(kernel, code, target, right=compiler._link, numbers=iter(range({sound}))):
    if next(numbers, None) is None:
        raise RuntimeError("cannot be linked")
    return right(kernel, code, target)

compiler._link = link
"""
REFUSAL = "plan: algorithm 'implicit' cannot solve this: the engine cannot be used ({}); use algorithm='auto'"


def run(program: str, *arguments: str, **environment: str) -> list[str]:
    """Run a program in a process of its own and return its lines."""
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("error", "cause"),
    one_in(
        3,
        [
            ("ModuleNotFoundError(\"No module named 'llvmlite'\")", "ModuleNotFoundError: No module named 'llvmlite'"),
            ("OSError('libllvmlite.so: wrong ELF class')", "OSError: libllvmlite.so: wrong ELF class"),
            (
                "RuntimeError('Could not find/load shared object file')",
                "RuntimeError: Could not find/load shared object file",
            ),
        ],
    ),
    ids=["missing", "of another machine", "without its library"],
)
def test_without_llvmlite_numpy_does_the_work(error: str, cause: str) -> None:
    """Large images are unfolded, folded and convolved right, with one warning that says why it is slower."""
    lines = run(BREAK.format(error=error) + LARGE)
    assert lines == [f"EngineWarning: {WARNING.format(cause)}", "False", cause]


@pytest.mark.wide
def test_a_module_set_to_none_is_a_missing_one() -> None:
    """The way in which Python itself blocks an import."""
    (warning, _, cause) = run(BLOCK + LARGE)
    assert cause.startswith("ModuleNotFoundError: ")
    assert warning == f"EngineWarning: {WARNING.format(cause)}"


@pytest.mark.wide
def test_with_llvmlite_the_same_program_does_not_warn() -> None:
    """The program above notices nothing where the engine works."""
    require("llvmlite")
    assert run("import sys\n" + LARGE) == ["", "True", "no failure so far"]


@pytest.mark.parametrize(
    ("fault", "cause"),
    one_in(
        9,
        [
            (BREAK.format(error="ModuleNotFoundError('no llvmlite')"), "ModuleNotFoundError: no llvmlite"),
            (BREAK_KERNELS.format(sound=1), "RuntimeError: cannot be linked"),
            (BREAK.format(error="OSError('wrong ELF class')"), "OSError: wrong ELF class"),
            (BREAK_KERNELS.format(sound=0), "RuntimeError: cannot be linked"),
            (BREAK_LLVM.format(function="llvm.get_host_cpu_name"), "RuntimeError: no such CPU"),
            (BREAK_LLVM.format(function="llvm.Target.create_target_machine"), "RuntimeError: no such CPU"),
            (BREAK_LLVM.format(function="llvm.create_pass_builder"), "RuntimeError: no such CPU"),
            (BREAK_LLVM.format(function="llvm.ModuleRef.verify"), "RuntimeError: no such CPU"),
            (BREAK_KERNELS.format(sound=4), "RuntimeError: cannot be linked"),
        ],
    ),
    ids=[
        *("missing", "one kernel", "of another machine", "no kernel", "CPU unknown", "no machine", "no optimiser"),
        *("no verifier", "four kernels"),
    ],
)
def test_the_core_without_an_engine(fault: str, cause: str, tmp_path: Path) -> None:
    """However and whenever the engine fails, all answers are right, with one warning; by name it is refused."""
    require("llvmlite")
    lines = run(fault + CORE, IM2COL_CACHE_DIR=str(tmp_path))
    assert lines == [f"EngineWarning: {WARNING.format(cause)}", cause, REFUSAL.format(cause)]


@pytest.mark.wide
def test_the_core_with_its_engine() -> None:
    """The program above notices nothing where the engine works."""
    require("llvmlite")
    assert run(CORE) == ["no failure so far", "implicit"]


@pytest.mark.parametrize("most", [0, 1])
@pytest.mark.parametrize("engine", [False, True], ids=["without an engine", "with its engine"])
def test_where_no_thread_can_be_started(engine: bool, most: int) -> None:
    """The caller does the work, or those threads that there are; the results are right, and nothing else is told."""
    lines = run((REFUSE.format(most=most)) + ("import sys\n" if engine else BLOCK) + LARGE)
    if engine:
        require("llvmlite")
        assert lines == ["", "True", "no failure so far"]
    else:
        assert lines[0].startswith("EngineWarning: im2col's engine cannot be used (ModuleNotFoundError: ")
        assert len(lines) == 3


@pytest.mark.parametrize("engine", [False, True], ids=["without an engine", "with its engine"])
def test_every_public_function_where_no_thread_can_be_started(engine: bool) -> None:
    """Each runs with the arguments of `tests/kit/calls.py`, on the caller's thread."""
    for name in ("PIL.Image", "rich", "scipy"):
        require(name)
    assert run(REFUSE.format(most=0) + ("" if engine else BLOCK) + EVERY_CALL)[-1] == "1"


def test_the_first_pages_with_numpy_alone(tmp_path: Path) -> None:
    """The code of README.md and of the first hour gives what the pages say, without an engine and without threads."""
    for name in ("PIL.Image", "rich", "resvg_py"):
        require(name)
    pages = [str(REPOSITORY / name) for name in ("README.md", "docs/start.md", "docs/tutorial.md")]
    program = f"import os; os.chdir({str(tmp_path)!r})\n" + REFUSE.format(most=0) + BLOCK + PAGES
    assert run(program, *pages, PYTHONPATH=SOURCES)[-1] == "1 0 True None 1"


def test_plans_travel_to_where_the_engine_does_not_work(tmp_path: Path) -> None:
    """A plan pickled where the engine worked takes another algorithm elsewhere; if it names the engine's, an error."""
    require("llvmlite")
    x, w = np.arange(2 * 3 * 8 * 8.0).reshape(2, 3, 8, 8), np.arange(4 * 3 * 9.0).reshape(4, 3, 3, 3)
    plans = [plan(x.shape, w, algorithm=name) for name in ("auto", "implicit")]
    assert [each.algorithm for each in plans] == ["implicit"] * 2
    path = tmp_path / "plans.pickle"
    path.write_bytes(pickle.dumps((x, plans[0](x), *map(pickle.dumps, plans))))
    program = """
import pickle, sys, warnings
from im2col import ArgumentError
warnings.simplefilter("ignore")
with open(sys.argv[1], "rb") as file:
    x, y, travelled, named = pickle.load(file)
restored = pickle.loads(travelled)
print(restored.algorithm, (restored(x) == y).all())
try:
    pickle.loads(named)
except ArgumentError as refusal:
    print(refusal)
"""
    blocked = BREAK.format(error="ModuleNotFoundError('no llvmlite')")
    assert run(blocked + program, str(path)) == ["explicit True", REFUSAL.format("ModuleNotFoundError: no llvmlite")]


@pytest.mark.wide
def test_the_demo_without_an_engine(tmp_path: Path) -> None:
    """It shows the ways that there are."""
    require("PIL")
    program = """
import sys, warnings
warnings.simplefilter("ignore")
from im2col.demo import run_demo
report = run_demo(sys.argv[1])
print(report.passed, *(way.name for way in report.ways[:-2]))
"""
    assert run(BLOCK + program, str(tmp_path)) == ["True explicit reference"]


def test_browsers_need_no_engine() -> None:
    """The package installs where llvmlite has no build."""
    requirements = require("packaging.requirements")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    found = [requirements.Requirement(each) for each in project["dependencies"]]
    for platform, names in (
        ("emscripten", {"numpy", "threadpoolctl"}),
        ("linux", {"numpy", "threadpoolctl", "llvmlite"}),
    ):
        environment = {"sys_platform": platform}
        assert {each.name for each in found if not each.marker or each.marker.evaluate(environment)} == names


def test_importing_loads_neither_the_engine_nor_threads() -> None:
    """What takes long to import waits until it is needed."""
    names = "{'llvmlite', 'threadpoolctl', 'concurrent.futures', 'scipy', 'ml_dtypes'}"
    assert run(f"import sys, im2col; print(*sorted({names} & sys.modules.keys()))") == [""]


def test_small_images_never_load_the_engine() -> None:
    """However often small images are transformed, llvmlite is not loaded for them; convolutions load it at once."""
    assert run(SMALL) == ["False"]
