"""Layers of tiles: made in every way, and in plain NumPy how far rounding may take a result."""

from __future__ import annotations

import itertools
import math
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from im2col import conv, plan
from im2col.algorithms import registry
from im2col.algorithms.tiled.cycles import Blocks
from im2col.algorithms.tiled.decide import Cut, Decision, admitted
from im2col.algorithms.tiled.prepared import DecidedTiles, PreparedTiles
from im2col.algorithms.tiled.tiling import Tiling, tiles_of
from im2col.algorithms.winograd.cook_toom import as_array
from im2col.engine.target import host
from im2col.spec.problem import make_problem

from .memory import PAGE, against_forbidden_pages, in_room

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from im2col.algorithms.tiled import transform as tiled
    from im2col.algorithms.winograd.cook_toom import Transform
    from im2col.spec.problem import Problem

    from .memory import Array


class Case(NamedTuple):
    """A layer that tiles compute."""

    shape: tuple[int, ...]
    filters: int
    kernel: tuple[int, ...]
    options: dict[str, Any]
    dtype: str = "float32"

    def arrays(self, seed: int = 0) -> tuple[Array, Array, Array]:
        """Return image, weights and bias."""
        rng = np.random.default_rng(seed)
        layout = self.options.get(
            "layout", "NCDHW" if len(self.kernel) == 3 else "NCHW" if len(self.kernel) == 2 else "NCW"
        )
        channels = self.shape[layout.index("C")] // self.options.get("groups", 1)
        made = (self.shape, (self.filters, channels, *self.kernel), (self.filters,))
        x, w, bias = (rng.standard_normal(shape).astype(self.dtype) for shape in made)
        return x, w, bias


def planned(case: Case, algorithm: str, **options: Any) -> tuple[Any, Any]:
    """Return a plan of tiles, and the transform that it has."""
    x, w, bias = case.arrays()
    p: Any = plan(x.shape, w, bias, algorithm=algorithm, **case.options | options)
    return p, p._operation.choices[0].offer.prepare.args[0].decision.tiling.transform


def judged(case: Case, bounded: Callable[..., Array], x: Array, w: Array, bias: Array) -> tuple[Array, Array]:
    """Return the exact result, of float64 and BLAS, and by how much each of it may differ.

    Parameters
    ----------
    case : Case
    bounded : callable
        ``bounded(image, w, groups=…, dtype=…)``, of a padded image (N, C, *spatial): by how much a sum may.
    x, w, bias : ndarray
    """
    wide = np.longdouble if case.dtype == "float64" else np.float64
    options = dict(case.options)
    exact = conv(*(each.astype(wide) for each in (x, w, bias)), algorithm="explicit", **options)
    problem = make_problem(x.shape, w.shape, x.dtype, w.dtype, **options)
    g, canonical = problem.geometry, problem.layout.to_canonical
    pads = ((0, 0), (0, 0), *g.padding)
    image = np.abs(canonical(x))
    if problem.pads_zeros or problem.padding_mode == "constant":
        image = np.pad(image, pads, constant_values=abs(options.get("padding_value", 0)))
    else:  # magnitudes of a border are those of some pixels
        image = np.pad(image, pads, constant_values=image.max())
    limit = bounded(image, w, groups=options.get("groups", 1), dtype=case.dtype)
    limit = limit + 4 * np.finfo(case.dtype).eps * np.abs(bias).reshape(-1, *[1] * g.ndim)
    return exact, np.moveaxis(limit, 1, -1) if problem.layout.axes[-1] == "C" else limit.reshape(exact.shape)


def convolving(
    case: Case, tiles: tiled.Transform, most: int, piece: int | None = None, weights: Array | None = None
) -> Callable[[Array], Array]:
    """Return a function of an image: the layer with a transform, in blocks of at most so many tiles.

    Parameters
    ----------
    case : Case
    tiles : Transform
    most : int
    piece : int, optional
        Filters that are multiplied at a time.
    weights : ndarray, optional
        Instead of the case's, without a bias.
    """
    x, w, bias = case.arrays()
    if weights is not None:
        w, bias = weights, np.zeros_like(bias)
    problem = make_problem(x.shape, w.shape, x.dtype, w.dtype, has_bias=True, **case.options)
    tiling = Tiling(problem.geometry, tiles, problem.batch)
    run = cut_as(problem, Cut(tiling, Blocks(most, piece or problem.group_filters)), w, bias)

    def convolve(image: Array) -> Array:
        out = np.full(problem.output_shape, np.nan, x.dtype)
        run(problem.layout.to_canonical(image), problem.layout.to_canonical(out))
        return out

    return convolve


def cut_as(problem: Problem, cut: Cut, w: Array, bias: Array | None) -> PreparedTiles:
    """Return a layer that is cut in a way, for two threads."""
    direct = registry()["implicit"].offer(problem, host(), 1)
    layer = DecidedTiles(problem, Decision(problem, host(), cut), 2, direct)
    assert sum(map(tiles_of, layer.decision.boxes)) == layer.decision.tiles
    return PreparedTiles(layer, w, bias)


def assert_within_pages(
    cases: dict[str, Case],
    made: Callable[[Case], tuple[Any, Any]],
    expected: Callable[..., tuple[Array, Array]],
    third: int,
) -> None:
    """Convolve where a byte too much is the end of the process: for `run_alone`.

    Parameters
    ----------
    cases : dict of str to Case
    made : callable
        ``made(case)`` returns a plan and its transforms.
    expected : callable
        ``expected(case, transforms, x, w, bias)`` returns the exact result, and by how much each of it may differ.
    third : int
        Of the cases: 0, 1 or 2.
    """
    rooms = [against_forbidden_pages(64 * PAGE) for _ in range(2)]
    for name, side in itertools.product(list(cases)[third::3], (0, 1)):
        case = cases[name]
        x, w, bias = case.arrays()
        if x.nbytes > 60 * PAGE or name.startswith("many"):
            continue
        prepared, transforms = made(case)
        exact, limit = expected(case, transforms, x, w, bias)
        image = in_room(rooms[0][side], x)
        out = in_room(rooms[1][side], np.zeros(exact.shape, case.dtype))
        assert (np.abs(prepared(image, out) - exact) <= limit).all(), name
    sys.stdout.write("every byte in its place\n")


PIXELS = ("normal", "after relu", "alternating")


THIRDS = range(3)
"""Of the tiles that are admitted."""


def assert_precise(family: tiled.Family, channels: int, kernel: int, third: int) -> None:
    """Assert that what is admitted errs as little as its precision promises, against a plain sum of float32.

    Parameters
    ----------
    family : Family
    channels, kernel : int
    third : int
        Of `THIRDS`.
    """
    for kind in PIXELS:
        rng = np.random.default_rng(channels)
        x = rng.standard_normal((1, channels, 30, 30)).astype("f4")
        w = rng.standard_normal((16, channels, kernel, kernel)).astype("f4")
        if kind == "after relu":
            x = np.maximum(x, 0)
        if kind == "alternating":  # differences of neighbours are large in every transform
            x = np.abs(x) * np.where(np.add.outer(range(30), range(30)) % 2, 1, -1).astype("f4")
        exact = conv(x.astype(float), w.astype(float), algorithm="explicit")
        plain = np.sqrt(np.mean((plain_sum(x, w) - exact) ** 2))
        errors: dict[tuple[tiled.Transform, int], float] = {}  # a precision admits tiles, and computes nothing else
        for precision, most in (("strict", 1), ("native", 2), ("fast", math.inf)):
            problem = make_problem(x.shape, w.shape, x.dtype, w.dtype, precision=precision)
            for tiles, parts in itertools.islice(admitted(problem, family), third, None, len(THIRDS)):
                if (tiles, parts) not in errors:
                    result = np.empty(problem.output_shape, x.dtype)
                    tiling = Tiling(problem.geometry, tiles, problem.batch, parts)
                    cut_as(problem, Cut(tiling, Blocks(8, problem.filters)), w, None)(x, result)
                    assert np.abs(result - exact).max() <= 2e-5 * np.abs(exact).max()
                    errors[tiles, parts] = np.sqrt(np.mean((result - exact) ** 2)) / plain
                assert errors[tiles, parts] <= most, (kind, precision, tiles.results)


def plain_sum(x: Array, w: Array) -> Array:
    """Return a layer's sums in float32, product after product: the loop that precision is measured by."""
    n, (filters, channels, kh, kw) = len(x), w.shape
    total = np.zeros((n, filters, x.shape[2] - kh + 1, x.shape[3] - kw + 1), "f4")
    for i, j, c in itertools.product(range(kh), range(kw), range(channels)):
        part = x[:, c, None, i : i + total.shape[2], j : j + total.shape[3]]
        total = total + part * w[None, :, c, i, j, None, None]
    return total


def lines_of(algorithm: str, problem: Problem) -> int:
    """Return the lines of IR of what an algorithm would run."""
    kernels = registry()[algorithm].offer(problem, host(), 1).kernels
    assert kernels is not None
    return sum(kernel.ir(host()).count("\n") for kernel in kernels())


class Typed(np.float64):
    """A number with a type, as a builder's values have one."""

    type = "f8"


class Counting:
    """A builder whose values are numbers, and which counts its instructions."""

    def __init__(self) -> None:
        self.count = 0

    def _counted(self, value: float) -> Typed:
        self.count += 1
        return Typed(value)

    def plus(self, a: float, b: float) -> Typed:
        """Return a + b."""
        return self._counted(a + b)

    def minus(self, a: float, b: float) -> Typed:
        """Return a - b."""
        return self._counted(a - b)

    def times(self, a: float, b: float) -> Typed:
        """Return a · b."""
        return self._counted(a * b)

    def negated(self, a: float) -> Typed:
        """Return -a, which a product takes with it."""
        return Typed(-a)

    def multiply_add(self, a: float, b: float, c: float, fused: bool) -> Typed:
        """Return a · b + c."""
        assert fused
        return self._counted(a * b + c)

    def numbers(self, value: float, kind: Any) -> Typed:
        """Return a constant."""
        assert kind is not None
        return Typed(value)


def along(matrix: Array, values: Array, axis: int) -> Array:
    """Return values with one axis multiplied by a matrix."""
    return np.moveaxis(np.tensordot(matrix, values, (1, axis)), 0, axis)


def sizes(x: Array, w: Array, transforms: Sequence[Transform], groups: int) -> Array:
    """Return, for each result, the sum of the magnitudes of everything that is added up for it.

    Parameters
    ----------
    x : ndarray, (N, C, *spatial)
        The image, padded.
    w : ndarray, (filters, C/groups, *kernel)
    transforms : sequence of Transform
    groups : int
    """
    k = len(transforms)
    shape = [n - t.r + 1 for n, t in zip(x.shape[2:], transforms, strict=True)]
    counts = [-(-n // t.m) for n, t in zip(shape, transforms, strict=True)]
    room = [c * t.m + t.r - 1 for c, t in zip(counts, transforms, strict=True)]
    image = np.zeros((*x.shape[:2], *room))
    inside: Any = (..., *map(slice, x.shape[2:]))
    image[inside] = np.abs(x)
    windows = np.lib.stride_tricks.sliding_window_view(image, [t.size for t in transforms], tuple(range(2, 2 + k)))
    windows = windows[(slice(None), slice(None), *(slice(None, None, t.m) for t in transforms))]
    filters = np.abs(w).astype(float)
    for axis, t in enumerate(transforms):
        windows = along(np.abs(as_array(t.image)), windows, 2 + k + axis)
        filters = along(np.abs(as_array(t.weights)), filters, 2 + axis)
    n, c, tiles, size = len(x), w.shape[1], windows.shape[2 : 2 + k], windows.shape[2 + k :]
    parts = windows.reshape(n, groups, c, *tiles, -1), filters.reshape(groups, -1, c, filters[0, 0].size)
    letters = "xyz"[:k]
    products = np.einsum(f"ngc{letters}e,gfce->ngf{letters}e", *parts)
    products = products.reshape(n, len(w), *tiles, *size)
    for axis, t in enumerate(transforms):
        products = along(np.abs(as_array(t.result)), products, 2 + k + axis)
    order = [0, 1, *(2 + i + k * j for i in range(k) for j in range(2))]
    whole: Any = products.transpose(order).reshape(
        n, len(w), *(c * t.m for c, t in zip(counts, transforms, strict=True))
    )
    result: Array = whole[(..., *map(slice, shape))]
    return result


def bound(x: Array, w: Array, transforms: Sequence[Transform], groups: int, dtype: Any) -> Array:
    """Return by how much a result may differ from the exact one.

    A value of a window passes at most 2 T roundings along each axis, and so does a product on its way back; a filter's
    passes two, and the sum over C channels passes C: each rounding is of something that `sizes` adds up.
    """
    roundings = w.shape[1] + 4 + sum(4 * t.size for t in transforms)
    limit: Array = roundings * float(np.finfo(dtype).eps) * sizes(x, w, transforms, groups)
    return limit


def spectral_bound(x: Array, w: Array, tiles: tiled.Transform, groups: int, dtype: Any) -> Array:
    """Return by how much a result of spectra of tiles may differ from the exact one.

    A spectrum errs, relative to its Euclidean norm, by at most 6 roundings a level of butterflies (N. J. Higham,
    "Accuracy and Stability of Numerical Algorithms", 2002, theorem 24.2), and so does the way back, of all N numbers of
    a tile at once. A sum over C channels of products, three for a complex one, passes C + 6 roundings of at most 2 √2
    times the product of magnitudes. By Parseval's and Cauchy's inequalities all that is of the norms of window and
    filter.
    """
    k = len(tiles.sizes)
    shape = [n - r + 1 for n, r in zip(x.shape[2:], w.shape[2:], strict=True)]
    counts = [-(-n // m) for n, m in zip(shape, tiles.results, strict=True)]
    room = [(c - 1) * m + t for c, m, t in zip(counts, tiles.results, tiles.sizes, strict=True)]
    behind = [(0, n - size) for n, size in zip(room, x.shape[2:], strict=True)]
    image = np.pad(np.abs(x), [(0, 0), (0, 0), *behind]).astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(image, tiles.sizes, tuple(range(2, 2 + k)))
    windows = windows[(slice(None), slice(None), *(slice(None, None, m) for m in tiles.results))]
    norms = np.sqrt((windows**2).sum(tuple(range(2 + k, 2 + 2 * k))))
    filters = np.sqrt((w.astype(float) ** 2).sum(tuple(range(2, 2 + k))))
    parts = norms.reshape(len(x), groups, -1, *counts), filters.reshape(groups, -1, w.shape[1])
    products = np.einsum("ngc...,gfc->ngf...", *parts).reshape(len(x), len(w), *counts)
    for axis, m in enumerate(tiles.results):
        products = np.repeat(products, m, 2 + axis)
    levels = 6 * sum(1 + math.log2(t) for t in tiles.sizes)
    roundings = 2 * math.sqrt(2) * (w.shape[1] + 6) + levels * (1 + math.sqrt(math.prod(tiles.sizes)))
    limit: Array = roundings * float(np.finfo(dtype).eps) * products[(..., *map(slice, shape))]
    return limit
