"""What a fresh process waits for: its imports, and its first calls."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import im2col

_SCRIPT = """
import time
start = time.perf_counter()
import numpy as np
imported = time.perf_counter()
import im2col
loaded = time.perf_counter()
x, w = np.ones((1, 8, 8, 8), np.float32), np.ones((8, 8, 3, 3), np.float32)
begun = time.perf_counter()
im2col.{call}
print(imported - start, loaded - imported, time.perf_counter() - begun)
"""
_CALLS = {"conv2d": "conv2d(x, w, padding=1)", "im2col": "im2col(x, 3, padding=1)"}


def starts(processes: int) -> dict[str, list[float]]:
    """Start fresh processes one after another, and return the seconds that they waited for what.

    Python's own files are compiled beforehand, as they are for all but the first process after an installation.

    Parameters
    ----------
    processes : int
        Of each kind.

    Returns
    -------
    dict of str to list of float
    """
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPYCACHEPREFIX": str(Path(folder, "bytecode"))}
        environment |= {"PYTHONPATH": str(Path(im2col.__file__).parents[1]), "IM2COL_NUM_THREADS": "1"}
        for call in _CALLS:
            _waited(call, environment | {"IM2COL_CACHE_DIR": str(Path(folder, "warm"))})
        for i in range(processes):
            for call, cache in (("conv2d", f"cold{i}"), ("conv2d", "warm"), ("im2col", "warm")):
                numpy, ours, first = _waited(call, environment | {"IM2COL_CACHE_DIR": str(Path(folder, cache))})
                found.setdefault("import numpy", []).append(numpy)
                found.setdefault("import im2col, then", []).append(ours)
                kernels = f", {cache[:4]} cache" * (call == "conv2d")
                found.setdefault(f"first {call}{kernels}", []).append(first)
    return found


def _waited(call: str, environment: dict[str, str]) -> list[float]:
    """Return the seconds of both imports and of a first call in a process."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(call=_CALLS[call])],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def rows(found: dict[str, list[float]]) -> list[list[str]]:
    """Return a row of the table for each of what was waited for: fastest and median, in milliseconds."""
    return [[name, *(f"{1e3 * t:.1f}" for t in (min(s), statistics.median(s)))] for name, s in found.items()]
