"""The signals, as data, and what is asked of every contestant."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNALS = Path(__file__).with_name("signals.tsv")
ORIENTATIONS: tuple[Literal["rows", "columns"], ...] = ("rows", "columns")


@dataclass(frozen=True)
class Signal:
    """An image and the windows on it; an axis more than the kernel has is that of the channels."""

    name: str
    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def channels(self) -> int:
        """How many there are."""
        return self.shape[0] if len(self.shape) > len(self.kernel) else 1

    @property
    def spatial(self) -> tuple[int, ...]:
        """The axes without that of the channels."""
        return self.shape[-len(self.kernel) :]

    @property
    def output(self) -> tuple[int, ...]:
        """Positions along each axis."""
        return tuple((n - k) // s + 1 for n, k, s in zip(self.spatial, self.kernel, self.stride, strict=True))

    @property
    def matrix_bytes(self) -> int:
        """Size of the column matrix in float32."""
        return 4 * self.channels * math.prod(self.kernel) * math.prod(self.output)


def read_signals(path: Path = SIGNALS) -> list[Signal]:
    """Return the signals of a table: tab-separated, one a line; lengths of axes are joined by x."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return [Signal(row.pop("name"), **{k: tuple(map(int, v.split("x"))) for k, v in row.items()}) for row in rows]


@dataclass(frozen=True)
class Problem:
    """A fold with its data; `answer` is the right result.

    Parameters
    ----------
    signal : Signal
    orientation : {"rows", "columns"}
    matrix : ndarray of float32
        (positions, taps), or (taps, positions); taps channel-first.
    answer : ndarray of float32, of the signal's shape
    threads : int
    """

    signal: Signal
    orientation: Literal["rows", "columns"]
    matrix: NDArray[np.float32]
    answer: NDArray[np.float32]
    threads: int

    @property
    def patches(self) -> NDArray[np.float32]:
        """The matrix as a view, (C, *kernel, *output)."""
        s, k = self.signal, len(self.signal.kernel)
        if self.orientation == "columns":
            return self.matrix.reshape(s.channels, *s.kernel, *s.output)
        by_position = self.matrix.reshape(*s.output, s.channels, *s.kernel)
        return by_position.transpose(*range(k, 2 * k + 1), *range(k))


def make_problem(signal: Signal, orientation: Literal["rows", "columns"], threads: int) -> Problem:
    """Return a problem of small integers, which float32 sums exactly in any order; its answer is counted."""
    rng = np.random.default_rng(0)
    taps, positions = signal.channels * math.prod(signal.kernel), math.prod(signal.output)
    columns = rng.integers(-8, 8, (taps, positions), np.int8).astype(np.float32)
    pixels = np.arange(math.prod(signal.shape)).reshape(signal.channels, *signal.spatial)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, signal.kernel, tuple(range(1, pixels.ndim)))
    steps = tuple(slice(None, None, s) for s in signal.stride)
    k = len(signal.kernel)
    read = windows[(slice(None), *steps)].transpose(0, *range(k + 1, 2 * k + 1), *range(1, k + 1))
    answer = np.bincount(read.reshape(-1), columns.reshape(-1), math.prod(signal.shape))
    matrix = columns if orientation == "columns" else np.ascontiguousarray(columns.T)
    return Problem(signal, orientation, matrix, answer.astype(np.float32).reshape(signal.shape), threads)
