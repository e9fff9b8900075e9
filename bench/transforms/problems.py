"""What the transforms' contestants are given, and the right answers."""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LAYERS = Path(__file__).with_name("layers.tsv")


@dataclass(frozen=True)
class Layer:
    """A convolution layer as its column matrix sees it; every window argument holds for both spatial axes."""

    name: str
    batch: int
    channels: int
    height: int
    width: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def image_shape(self) -> tuple[int, int, int, int]:
        """The image, NCHW."""
        return self.batch, self.channels, self.height, self.width

    @property
    def span(self) -> int:
        """Pixels from a window's first tap to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def output_shape(self) -> tuple[int, int]:
        """Positions along both axes."""
        stops = [(n + 2 * self.padding - self.span) // self.stride + 1 for n in (self.height, self.width)]
        return stops[0], stops[1]

    @property
    def patches_shape(self) -> tuple[int, int, int, int, int, int]:
        """The column matrix before it is flattened, patches as columns: (N, C, kernel, kernel, *output)."""
        return self.batch, self.channels, self.kernel, self.kernel, *self.output_shape

    @property
    def matrix_bytes(self) -> int:
        """Size of the column matrix in float32."""
        return int(np.prod(self.patches_shape)) * 4

    @property
    def padded_bytes(self) -> int:
        """Size of the padded image in float32; 0 where there is no padding."""
        height, width = self.height + 2 * self.padding, self.width + 2 * self.padding
        return self.batch * self.channels * height * width * 4 if self.padding else 0


def read_layers(path: Path = LAYERS) -> list[Layer]:
    """Return the layers of a table: tab-separated, one a line, the fields of `Layer` as its header."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return [Layer(row.pop("name"), **{field: int(value) for field, value in row.items()}) for row in rows]


@dataclass(frozen=True)
class Task:
    """One of the transforms in one of its orientations: patches as columns, or as rows."""

    transform: Literal["im2col", "col2im"]
    orientation: Literal["columns", "rows"]

    def __str__(self) -> str:
        return f"{self.transform} {self.orientation}"


IM2COL_ROWS = Task("im2col", "rows")
TASKS = (Task("im2col", "columns"), IM2COL_ROWS, Task("col2im", "columns"), Task("col2im", "rows"))


@dataclass(frozen=True)
class Problem:
    """One task on one layer, with its data; the task reads `image` or `matrix`, and the other one is the answer.

    Parameters
    ----------
    layer : Layer
    task : Task
    image : ndarray of float32, (N, C, H, W)
    matrix : ndarray of float32
        (N, taps, positions) with patches as columns, (N, positions, taps) with patches as rows; taps channel-first.
    threads : int
    out : ndarray of float32, optional
        Where the result belongs, every page of it touched; without it, the contestant allocates its result.
    """

    layer: Layer
    task: Task
    image: NDArray[np.float32]
    matrix: NDArray[np.float32]
    threads: int
    out: NDArray[np.float32] | None = None

    @property
    def answer(self) -> NDArray[np.float32]:
        """The right result; a contestant's may be any view whose elements, in C order, equal these."""
        return self.matrix if self.task.transform == "im2col" else self.image


def make_problem(layer: Layer, task: Task, threads: int) -> Problem:
    """Return a problem of small integers, which float32 sums exactly in any order.

    Parameters
    ----------
    layer : Layer
    task : Task
    threads : int

    Returns
    -------
    Problem
        Without `out`.
    """
    rng = np.random.default_rng(0)
    if task.transform == "im2col":
        image = _integers(rng, layer.image_shape)
        patches = unfold(image, layer)
    else:
        patches = _integers(rng, layer.patches_shape)
        image = fold(patches, layer)
    columns = patches.reshape(layer.batch, layer.channels * layer.kernel**2, -1)
    matrix = columns if task.orientation == "columns" else np.ascontiguousarray(columns.transpose(0, 2, 1))
    return Problem(layer, task, image, matrix, threads)


def _integers(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return rng.integers(-8, 8, shape, np.int8).astype(np.float32)


def unfold(image: NDArray[np.float32], layer: Layer) -> NDArray[np.float32]:
    """Return every patch of an image, by the definition: the oracle of `im2col`.

    Parameters
    ----------
    image : ndarray, (N, C, H, W)
    layer : Layer

    Returns
    -------
    ndarray, (N, C, kernel, kernel, *output)
    """
    padded = np.pad(image, [(0, 0), (0, 0), (layer.padding,) * 2, (layer.padding,) * 2])
    patches = np.empty(layer.patches_shape, np.float32)
    for y, x, pixels in _taps(layer):
        patches[:, :, y, x] = padded[pixels]
    return patches


def fold(patches: NDArray[np.float32], layer: Layer) -> NDArray[np.float32]:
    """Return the image whose pixels are the sums of their copies, by the definition: the oracle of `col2im`.

    Parameters
    ----------
    patches : ndarray, (N, C, kernel, kernel, *output)
    layer : Layer

    Returns
    -------
    ndarray, (N, C, H, W)
    """
    p, (height, width) = layer.padding, (layer.height, layer.width)
    padded = np.zeros((layer.batch, layer.channels, height + 2 * p, width + 2 * p), np.float32)
    for y, x, pixels in _taps(layer):
        padded[pixels] += patches[:, :, y, x]
    return padded[:, :, p : p + height, p : p + width].copy()


def _taps(layer: Layer) -> Iterator[tuple[int, int, tuple[Any, ...]]]:
    """Yield each tap with the pixels of the padded image that it meets, one a position."""
    for y, x in itertools.product(range(layer.kernel), repeat=2):
        starts = (y * layer.dilation, x * layer.dilation)
        stops = (
            start + layer.stride * (positions - 1) + 1
            for start, positions in zip(starts, layer.output_shape, strict=True)
        )
        pixels = (slice(start, stop, layer.stride) for start, stop in zip(starts, stops, strict=True))
        yield y, x, (slice(None), slice(None), *pixels)
