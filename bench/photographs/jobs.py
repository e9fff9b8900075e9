"""Files and kernels, what every contestant is asked for, and whether it did that."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_ROWS = 250
"""Rows that are made at once."""
_CHECKED = 16
"""Rows of each part of a result that is compared: its first, middle and last."""


@dataclass(frozen=True)
class Job:
    """A photograph to be filtered; kernels are symmetric, as some programs turn them around.

    Parameters
    ----------
    source, target : Path
        Their endings name the format.
    side, channels : int
        Of the photograph, 8 bits a sample.
    weights : ndarray of int, (size, size)
        Whose sum is what sums are divided by.
    threads : int
    """

    source: Path
    target: Path
    side: int
    channels: int
    weights: NDArray[np.int64]
    threads: int

    @property
    def name(self) -> str:
        """The kernel, the photograph and its format."""
        size, colours = len(self.weights), "RGB" if self.channels == 3 else "grey"
        return f"{size}×{size}, {self.side}² {colours}, {self.source.suffix[1:]}"

    @property
    def matrix(self) -> Path:
        """Where `write_kernel` puts the weights as libvips reads them."""
        return self.source.with_name("kernel.mat")

    @property
    def array(self) -> Path:
        """Where it puts them as NumPy reads them, divided."""
        return self.source.with_name("kernel.npy")

    def write_kernel(self) -> None:
        """Write the weights for those who read files."""
        rows = [" ".join(map(str, row)) for row in self.weights.tolist()]
        size = len(self.weights)
        self.matrix.write_text("\n".join([f"{size} {size} {self.weights.sum()} 0", *rows]) + "\n", "ascii")
        np.save(self.array, self.weights / self.weights.sum())


@dataclass(frozen=True)
class Contestant:
    """A program that filters a file, in a process of its own.

    Parameters
    ----------
    name : str
        As the tables call it.
    version : callable
        Returns what is installed of it, in words; None where it is missing.
    arguments : callable
        Takes a job and returns the command.
    environment : callable
        Takes a job and returns more environment variables.
    off : int
        How far a sample may be from the right one: half, for those who round, is 0.
    """

    name: str
    version: Callable[[], str | None]
    arguments: Callable[[Job], list[str]]
    environment: Callable[[Job], Mapping[str, str]] = lambda _: {}
    off: int = 0


def packages(*names: str) -> Callable[[], str | None]:
    """Return what says which versions of packages are installed, if all are."""

    def version() -> str | None:
        try:
            return ", ".join(f"{name} {metadata.version(name)}" for name in names)
        except metadata.PackageNotFoundError:
            return None

    return version


def program(name: str, *arguments: str, says: str) -> str | None:
    """Return the first line that a program prints, if it is there and that line says what it is."""
    if shutil.which(name) is None:
        return None
    told = subprocess.run([name, *arguments], capture_output=True, text=True, check=False).stdout
    line = told.partition("\n")[0]
    return line if says in line else None


def script(text: str, *arguments: object) -> list[str]:
    """Return the command that runs a script of Python with this interpreter."""
    return [sys.executable, "-c", text, *map(str, arguments)]


def make_kernel(size: int) -> NDArray[np.int64]:
    """Return weights that are the same when they are turned around, and no column times a row."""
    half = np.random.default_rng(size).integers(0, 10, (size, size))
    return half + half[::-1, ::-1]


def write_photograph(path: Path, side: int, channels: int) -> None:
    """Write waves and grain as TIFF, in strips without compression; as PNG by way of imagecodecs, whole."""
    shape = (side, side, channels) if channels > 1 else (side, side)
    photometric = "rgb" if channels > 1 else "minisblack"
    if path.suffix == ".png":
        import imagecodecs

        whole = np.concatenate(list(_rows(side, channels)))
        path.write_bytes(imagecodecs.png_encode(whole.reshape(shape), level=4))
        return
    tifffile.imwrite(
        path, _rows(side, channels), shape=shape, dtype=np.uint8, rowsperstrip=_ROWS, photometric=photometric
    )


def _rows(side: int, channels: int) -> Iterator[NDArray[np.uint8]]:
    rng, x = np.random.default_rng(0), np.arange(side)
    for top in range(0, side, _ROWS):
        y = np.arange(top, min(top + _ROWS, side))[:, None]
        waves = 127 + 60 * np.sin(x / 97) * np.cos(y / 61) + 40 * np.sin((x + y) / 311)
        grain = rng.normal(0, 4, (*waves.shape, channels))
        picture = (waves[:, :, None] + 10 * np.arange(channels) + grain).clip(0, 255).astype(np.uint8)
        yield picture if channels > 1 else picture[:, :, 0]


def complaint(job: Job, off: int) -> str | None:
    """Return what is wrong with a result, if anything: parts are compared with sums in whole numbers."""
    try:
        source, result = (_opened(path) for path in (job.source, job.target))
    except (OSError, ValueError) as error:
        return f"no result that can be read: {error}"
    if result.shape != source.shape:
        return f"the shape {result.shape}"
    half, side = len(job.weights) // 2, job.side
    for top in (0, side // 2, side - _CHECKED):
        rows = np.arange(top - half, top + _CHECKED + half).clip(0, side - 1)
        pixels = np.pad(source[rows].astype(np.int64), [(0, 0), (half, half), (0, 0)][: source.ndim], mode="edge")
        sums = np.zeros((_CHECKED, *source.shape[1:]), np.int64)
        for (i, j), weight in np.ndenumerate(job.weights):
            sums += weight * pixels[i : i + _CHECKED, j : j + side]
        found = np.asarray(result[top : top + _CHECKED], float)
        worst = float(np.abs(found - sums / job.weights.sum()).max())
        if worst > 0.5 + off + 1e-3:
            return f"off by {worst:.2f} in rows from {top}"
    return None


def _opened(path: Path) -> Any:
    if path.suffix == ".png":
        import imagecodecs

        return imagecodecs.png_decode(path.read_bytes())
    try:
        return tifffile.memmap(path, mode="r")
    except ValueError:  # compressed
        return tifffile.imread(path)
