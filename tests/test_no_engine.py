"""The library without its engine: nothing is loaded before it pays, and without llvmlite everything works.

Each test is a program of its own, in a process whose modules are as a user's are.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import require

REPOSITORY = Path(__file__).parents[1]

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
    im2col.conv2d(x, w, padding=1)
    im2col.conv2d(x[0], w[0, 0])
    im2col.plan(x.shape, w)(x)
print("llvmlite" in sys.modules)
"""


def run(program: str) -> list[str]:
    """Run a program in a process of its own and return its lines."""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("ModuleNotFoundError(\"No module named 'llvmlite'\")", "ModuleNotFoundError: No module named 'llvmlite'"),
        ("OSError('libllvmlite.so: wrong ELF class')", "OSError: libllvmlite.so: wrong ELF class"),
        (
            "RuntimeError('Could not find/load shared object file')",
            "RuntimeError: Could not find/load shared object file",
        ),
    ],
    ids=["missing", "of another machine", "without its library"],
)
def test_without_llvmlite_numpy_does_the_work(error: str, cause: str) -> None:
    """Large images are unfolded, folded and convolved right, with one warning that says why it is slower."""
    lines = run(BREAK.format(error=error) + LARGE)
    assert lines == [f"EngineWarning: {WARNING.format(cause)}", "False", cause]


def test_a_module_set_to_none_is_a_missing_one() -> None:
    """The way in which Python itself blocks an import."""
    (warning, _, cause) = run("import sys; sys.modules['llvmlite'] = None\n" + LARGE)
    assert cause.startswith("ModuleNotFoundError: ")
    assert warning == f"EngineWarning: {WARNING.format(cause)}"


def test_with_llvmlite_the_same_program_does_not_warn() -> None:
    """The program above notices nothing where the engine works."""
    require("llvmlite")
    assert run("import sys\n" + LARGE) == ["", "True", "no failure so far"]


def test_importing_loads_neither_the_engine_nor_threads() -> None:
    """What takes long to import waits until it is needed."""
    names = "{'llvmlite', 'threadpoolctl', 'concurrent.futures', 'scipy', 'ml_dtypes'}"
    assert run(f"import sys, im2col; print(*sorted({names} & sys.modules.keys()))") == [""]


def test_small_images_never_load_the_engine() -> None:
    """However often small images are transformed, llvmlite is not loaded for them."""
    assert run(SMALL) == ["False"]
