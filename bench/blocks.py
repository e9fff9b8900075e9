"""Images in blocks, from file to file, beside all of them in memory: time and memory against the image's size."""

from __future__ import annotations

import filecmp
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from im2col import conv, convolve_blocks

from . import memory
from .contestants import WrongResultError
from .processes import in_fresh_process
from .tables import machine, table

if TYPE_CHECKING:
    import argparse

HELP = "Compare convolve_blocks with loading, convolving and saving the whole image, for images of several sizes."
LEGEND = (
    "A square image of float32 in a .npy file, convolved to another one, padded with its mirror image; seconds of one "
    "thread on the processor, the least of some runs; MiB that the process took beyond what it had before."
)
ROWS = 200
"""That are made at a time."""


class Taken(NamedTuple):
    """What a run took: seconds of the thread, and bytes."""

    seconds: float
    peak: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    parser.add_argument("--sizes", default="2000,4000,8000,16000", help="pixels of a side, with commas between them")
    parser.add_argument("--kernels", default="5,15", help="taps of a side, with commas between them")
    parser.add_argument("--memory", type=int, default=64, help="MiB that blocks may take")
    parser.add_argument("--runs", type=int, default=3, help="runs of each")


def run(options: argparse.Namespace) -> None:
    """Check, measure and print.

    Parameters
    ----------
    options : argparse.Namespace
        As `add_arguments` declares them.

    Raises
    ------
    WrongResultError
        If a file differs from the other.
    """
    if not memory.is_told():
        raise SystemExit("this system does not tell a process's peak")
    print(f"{machine()}, blocks of {options.memory} MiB\n{LEGEND}\n")
    rows = []
    for n in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            _make(Path(folder), n)
            for k in map(int, options.kernels.split(",")):
                ways = (partial(_blocks, options.memory << 20), _whole)
                calls = (partial(_measured, way, Path(folder), k, str(i), options.runs) for i, way in enumerate(ways))
                found = [in_fresh_process(1, call, environment=memory.ENVIRONMENT) for call in calls]
                if not filecmp.cmp(Path(folder, "0.npy"), Path(folder, "1.npy"), shallow=False):
                    raise WrongResultError(f"{n}², {k}×{k}: the files differ")
                rows.append([f"{n}²", f"{k}×{k}", *(cell for each in found for cell in _cells(each))])
    print(table(["image", "kernel", "blocks s", "MiB", "memory s", "MiB"], rows))


def _cells(taken: Taken) -> list[str]:
    return [f"{taken.seconds:.2f}", f"{taken.peak / 2**20:.0f}"]


def _make(folder: Path, n: int) -> None:
    """Write an image."""
    rng = np.random.default_rng(0)
    image = np.lib.format.open_memmap(folder / "image.npy", "w+", np.float32, (n, n))
    for first in range(0, n, ROWS):
        part = image[first : first + ROWS]
        part[...] = rng.random(part.shape, np.float32)


def _measured(way: Any, folder: Path, k: int, name: str, runs: int) -> Taken:
    """Return what the best of some runs took; one before them compiles."""
    w = np.random.default_rng(1).random((1, 1, k, k), np.float32)
    best = Taken(float("inf"), 0)
    for number in range(runs + 1):
        memory.forget_peak()
        before, start = memory.resident(), time.thread_time()
        way(folder / "image.npy", w, folder / f"{name}.npy")
        taken = Taken(time.thread_time() - start, memory.peak() - before)
        if number:
            best = min(best, taken)
    return best


def _blocks(nbytes: int, source: Path, w: Any, target: Path) -> None:
    image = np.load(source, mmap_mode="r")
    convolve_blocks(image, w, target, memory=nbytes, force=True, padding="same", padding_mode="reflect", threads=1)


def _whole(source: Path, w: Any, target: Path) -> None:
    image = np.load(source)
    np.save(target, conv(image, w, padding="same", padding_mode="reflect", threads=1, chunked=True))
