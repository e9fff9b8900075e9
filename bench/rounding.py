"""How much algorithms that multiply less round: their errors against those of plain sums, for every size of tile.

Errors are against float64. A plain sum is what the definition says: product after product, in the order of the taps,
in the dtype of the layer. Ratios are of rms errors; beside them stands the greatest error, of the greatest result.
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from im2col import conv
from im2col.algorithms.fft.planes import SIZES as PLANES
from im2col.algorithms.fft.planes import DecidedPlanes, Planes
from im2col.algorithms.fft.prepared_planes import PreparedPlanes, ThreadedPlanes
from im2col.algorithms.fft.spectra import FAMILY as SPECTRA
from im2col.algorithms.implicit import ALGORITHM as VIEW
from im2col.algorithms.separable.factors import kernel_rank
from im2col.algorithms.tiled.cycles import Blocks
from im2col.algorithms.tiled.decide import Cut, Decision
from im2col.algorithms.tiled.prepared import DecidedTiles, PreparedTiles
from im2col.algorithms.tiled.tiling import Tiling
from im2col.algorithms.winograd.along_axes import FAMILY as POINTS
from im2col.engine.target import host
from im2col.spec.problem import PRECISIONS, make_problem

from .tables import NOTHING, machine, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from im2col.algorithms.tiled.transform import Transform

    Array = NDArray[np.floating]

HELP = "Measure the rounding of algorithms that multiply less often than the definition says, against plain sums."
CSV = Path("bench", "out", "rounding.csv")
_SIDE, _FILTERS = 20, 16
"""Positions along each axis of the map, and filters."""
_BLOCK = 20
"""Tiles of a block."""
KERNEL_SIZES, _MAP = (5, 15, 31), 120
"""Of filters of one channel: taps along each axis, and positions."""


class Measured(NamedTuple):
    """The error of one way to compute one layer.

    Parameters
    ----------
    dtype, pixels : str
        Of the layer, and what its pixels are like.
    channels, taps : int
        Taps along each of two axes.
    way : str
    law : float or None
        By how much errors grow by `Transform.error`; None for what is no tile.
    ratio : float
        The rms error, of that of plain sums.
    worst : float
        The greatest error, of the greatest result.
    """

    dtype: str
    pixels: str
    channels: int
    taps: int
    way: str
    law: float | None
    ratio: float
    worst: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--channels", default="16,64,256", help="how many, with commas")
    parser.add_argument("--taps", default="3,5,7,11", help="of the windows along each axis, with commas")
    parser.add_argument("--dtypes", default="float32,float64", help="of the layers, with commas")
    parser.add_argument("--csv", type=Path, default=CSV, help="where every figure is written")


def run(options: argparse.Namespace) -> None:
    """Measure, print a table, and write it."""
    print(machine())
    print(f"Two spatial axes, {_SIDE} × {_SIDE} positions, {_FILTERS} filters; normal weights.")
    print(f"Then filters of one channel, {_MAP} × {_MAP} positions.")
    channels, windows = ([int(n) for n in each.split(",")] for each in (options.channels, options.taps))
    dtypes = options.dtypes.split(",")
    found = [
        each
        for dtype, taps, n, pixels in itertools.product(dtypes, windows, channels, PIXELS)
        for each in measured(dtype, pixels, n, taps)
    ]
    for dtype, taps, pixels in itertools.product(dtypes, KERNEL_SIZES, PIXELS):
        found += [*factored(dtype, pixels, taps), *in_planes(dtype, pixels, taps)]
    options.csv.parent.mkdir(parents=True, exist_ok=True)
    with options.csv.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(Measured._fields)
        lines.writerows(found)
    rows = []
    for m in found:
        law = f"{m.law:.2f}" if m.law else NOTHING
        errors = f"{m.ratio:.2f}", f"{m.worst:.1e}"
        rows.append([f"{m.way}, {m.taps}×{m.taps}", m.dtype, m.pixels, str(m.channels), law, *errors])
    print(table(["way", "dtype", "pixels", "channels", "law", "rms ÷ plain sums", "greatest ÷ result"], rows))


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return rng.standard_normal(shape)


def _rectified(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.maximum(rng.standard_normal(shape), 0)


def _alternating(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a chessboard of signs: neighbours differ as much as they can."""
    signs = 1 - 2 * (np.add.outer(np.arange(shape[-2]), np.arange(shape[-1])) % 2)
    pixels: NDArray[np.float64] = np.abs(rng.standard_normal(shape)) * signs
    return pixels


PIXELS = {"normal": _normal, "after ReLU": _rectified, "alternating": _alternating}


def measured(dtype: str, pixels: str, channels: int, taps: int) -> Iterator[Measured]:
    """Yield the errors of the view, and of tiles of every size."""
    rng = np.random.default_rng(channels)
    side = _SIDE + taps - 1
    x = PIXELS[pixels](rng, (1, channels, side, side)).astype(dtype)
    w = rng.standard_normal((_FILTERS, channels, taps, taps)).astype(dtype)
    exact = conv(x.astype(np.longdouble), w.astype(np.longdouble), algorithm="explicit")
    plain = _rms(plain_sums(x, w) - exact)

    def errors(way: str, law: float | None, result: Array) -> Measured:
        off = result - exact
        worst = float(np.abs(off).max() / np.abs(exact).max())
        return Measured(dtype, pixels, channels, taps, way, law, float(_rms(off) / plain), worst)

    yield errors("the view", None, conv(x, w, algorithm="implicit"))
    for tiles, parts in itertools.product(POINTS.of((taps, taps)) if taps in POINTS.taps else (), (1, 2)):
        sums = " in two sums" * (parts > 1)
        yield errors(f"tiles of {_sides(tiles)}{sums}", tiles.error, _by_tiles(x, w, tiles, parts))
    for tiles in SPECTRA.of((taps, taps)):
        yield errors(f"spectra, tiles of {_sides(tiles)}", tiles.error, _by_tiles(x, w, tiles, 1))


def _sides(tiles: Transform) -> str:
    return "×".join(map(str, tiles.results))


def factored(dtype: str, pixels: str, taps: int) -> Iterator[Measured]:
    """Yield the errors of passes down the columns and along the rows, of one channel, with every precision."""
    rng = np.random.default_rng(taps)
    side = _MAP + taps - 1
    x = PIXELS[pixels](rng, (1, 1, side, side)).astype(dtype)
    bell = np.exp(-0.5 * ((np.arange(taps) - taps // 2) / (taps / 6)) ** 2)
    soft, middle = np.outer(bell, bell / bell.sum() ** 2), np.zeros((taps, taps))
    middle[taps // 2, taps // 2] = 2
    signs = np.outer(*rng.standard_normal((2, taps)))
    for name, kernel in (("gaussian", soft), ("unsharp", middle - soft), ("product of normal numbers", signs)):
        w = kernel.astype(dtype)[None, None]
        exact = conv(x.astype(np.longdouble), w.astype(np.longdouble), algorithm="explicit")
        plain = _rms(plain_sums(x, w) - exact)
        for precision in PRECISIONS:
            rank = kernel_rank(w, precision)
            off = conv(x, w, algorithm="separable", precision=precision) - exact
            worst = float(np.abs(off).max() / np.abs(exact).max())
            way = f"{name}, {precision}: rank {rank}"
            yield Measured(dtype, pixels, 1, taps, way, None, float(_rms(off) / plain), worst)


def in_planes(dtype: str, pixels: str, taps: int) -> Iterator[Measured]:
    """Yield the errors of spectra of large tiles, of one channel, of tiles of every size that are not too small."""
    rng = np.random.default_rng(taps)
    side = _MAP + taps - 1
    x = PIXELS[pixels](rng, (1, 1, side, side)).astype(dtype)
    line, middle = np.zeros((taps, taps)), np.arange(taps) - taps // 2
    line[range(taps), np.arange(taps) * 2 // 3] = 1 / taps
    disk = np.add.outer(middle**2, middle**2) <= (taps / 2) ** 2
    for name, kernel in (("normal numbers", rng.standard_normal((taps, taps))), ("disk", disk), ("line", line)):
        w = kernel.astype(dtype)[None, None]
        exact = conv(x.astype(np.longdouble), w.astype(np.longdouble), algorithm="explicit")
        plain = _rms(plain_sums(x, w) - exact)
        for size in PLANES:
            if size - taps + 1 >= size // 2:
                off = _by_planes(x, w, size) - exact
                worst = float(np.abs(off).max() / np.abs(exact).max())
                way = f"{name}, pairs of tiles of {size}×{size} pixels"
                yield Measured(dtype, pixels, 1, taps, way, None, float(_rms(off) / plain), worst)


def _rms(errors: Array) -> np.float64:
    return np.float64(np.sqrt(np.mean(errors**2)))


def plain_sums(x: Array, w: Array) -> Array:
    """Return a layer's sums in its own dtype, product after product."""
    channels, kh, kw = w.shape[1:]
    rows, columns = x.shape[2] - kh + 1, x.shape[3] - kw + 1
    total = np.zeros((1, len(w), rows, columns), x.dtype)
    for c, i, j in itertools.product(range(channels), range(kh), range(kw)):
        total += x[:, c, None, i : i + rows, j : j + columns] * w[None, :, c, i, j, None, None]
    return total


def _by_planes(x: Array, w: Array, size: int) -> Array:
    problem = make_problem(x.shape, w.shape, x.dtype, w.dtype)
    decided = DecidedPlanes(problem, Planes(problem.geometry, (size, size)), host())
    layer = ThreadedPlanes(decided, 1, VIEW.offer(problem, host(), 1))
    out = np.empty(problem.output_shape, x.dtype)
    PreparedPlanes(layer, w, None)(x, out)
    return out


def _by_tiles(x: Array, w: Array, tiles: Transform, parts: int) -> Array:
    problem = make_problem(x.shape, w.shape, x.dtype, w.dtype)
    tiling = Tiling(problem.geometry, tiles, 1, parts)
    cut = Cut(tiling, Blocks(_BLOCK, problem.filters))
    layer = DecidedTiles(problem, Decision(problem, host(), cut), 1, VIEW.offer(problem, host(), 1))
    out = np.empty(problem.output_shape, x.dtype)
    PreparedTiles(layer, w, None)(x, out)
    return out
