"""The convolution as a sparse matrix: one row an element of the result, one column a pixel."""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from ..engine.host import require_memory
from ..errors import LayoutError, MissingExtraError, named
from ..importing import importing
from ..spec.arguments import check_choice, checked_shape
from ..spec.arrays import as_array
from ..spec.layout import BATCH, CHANNEL
from ..spec.padded import source_index
from ..spec.problem import make_problem
from ..spec.strides import offsets, row_major

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import coo_array, csr_array

    from ..spec.geometry import Window
    from ..spec.padding import Padding, PaddingMode
    from ..spec.problem import Problem

    T = TypeVar("T")

_BLOCK = 1 << 16
"""Entries of the matrix that are made at a time: few enough that their temporaries stay in the second-level cache."""


@named
def conv_matrix(
    w: ArrayLike,
    image_shape: tuple[int, ...],
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "constant",
    layout: str | None = None,
    flip: bool = False,
    format: Literal["csr", "coo"] = "csr",  # noqa: A002 (SciPy's name for it)
) -> csr_array | coo_array:
    """Return the convolution as a sparse matrix: ``conv_matrix(w, x.shape) @ x.ravel()`` is ``conv(x, w).ravel()``.

    Parameters
    ----------
    w : array_like, (n, C/groups, *kernel)
        The filters.
    image_shape : tuple of int
        The shape of one image, in `layout`; no batch axis.
    stride, padding, dilation, groups, padding_mode, layout, flip
        As for `conv`; constant padding is 0.
    format : {"csr", "coo"}
        ``"csr"``: compressed rows. ``"coo"``: the same entries with their rows and columns.

    Returns
    -------
    scipy.sparse.csr_array or coo_array
        One row for each element of the result, one column for each pixel, both in the order of ``ravel``. A row holds
        the pixels under its window, sorted and each once: where padding shows a pixel several times, its weights are
        summed; constant padding has no entries. A weight of 0 is stored like any other, so that the structure depends
        on the geometry alone; ``eliminate_zeros()`` drops them. The dtype is w's, but for what `conv` does not sum in
        it: 8-bit integers and bool become int32, float16 and bfloat16 float32.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit.
    MemoryBudgetError
        If the matrix would not fit the available memory.
    MissingExtraError
        If SciPy is not installed.

    See Also
    --------
    conv_operator : the same map, which computes instead of storing entries.
    weight_matrix : the dense factor of ``im2col(x, …) @ weight_matrix(w)``.

    Notes
    -----
    For a batch, ``X.reshape(N, -1) @ conv_matrix(w, X.shape[1:]).T`` has a row for each image.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import conv_matrix
    >>> a = conv_matrix(np.array([[[-1, 1]]]), (4,))
    >>> a.toarray()
    array([[-1,  1,  0,  0],
           [ 0, -1,  1,  0],
           [ 0,  0, -1,  1]])
    >>> a @ [1, 2, 4, 8]
    array([1, 2, 4])
    """
    sparse = scipy_of()
    filters, shape = as_array("w", w), checked_shape("image_shape", image_shape)
    format = check_choice("format", format, ("csr", "coo"))  # noqa: A001 (the argument, as a plain string)
    problem = one_image(
        shape,
        filters,
        np.dtype(bool),  # an image of zeros and ones: the result is in the dtype in which weights are summed
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
        layout=layout,
        flip=flip,
    )
    rows, columns = math.prod(problem.output_shape), math.prod(shape)
    entries = _most_entries(problem)
    index = np.dtype(np.int32 if max(rows, columns, entries) <= np.iinfo(np.int32).max else np.int64)
    size = entries * (problem.accumulator.itemsize + (1 + (format == "coo")) * index.itemsize)
    # Beside the entries: what is known of each row and of each pixel along an axis, and one block.
    size += rows * (5 * index.itemsize + 8) + 16 * sum(problem.geometry.padded_shape)
    size += 64 * max(_BLOCK, problem.group_taps)
    way_out = "use conv_operator, which never makes it"
    require_memory(size, way_out, "the sparse matrix {} of {} entries", (rows, columns), entries)
    matrix = sparse.csr_array(_compressed_rows(problem, filters, index), shape=(rows, columns))
    matrix.has_canonical_format = True  # which SciPy would have to find out
    if format == "csr":
        return matrix
    triplets = matrix.tocoo(copy=False)
    triplets.has_canonical_format = True
    return triplets


def scipy_of() -> ModuleType:
    """Return ``scipy.sparse`` with its solvers, which importing im2col leaves alone."""
    try:
        with importing:
            import scipy.sparse.linalg
    except ImportError as cause:
        raise MissingExtraError("this needs SciPy; install it with pip install 'im2col[scipy]'") from cause
    return scipy.sparse  # type: ignore[no-any-return]  # SciPy has no types


def one_image(shape: tuple[int, ...], w: NDArray[Any], x_dtype: np.dtype[Any], **options: Any) -> Problem:
    """Validate a convolution of one image."""
    problem = make_problem(shape, w.shape, x_dtype, w.dtype, **options)
    if problem.layout.has_batch:
        rest = problem.layout.axes.replace(BATCH, "")
        raise LayoutError(
            f"layout {problem.layout.axes!r} of the image {shape} has a batch axis but the linear map is of one image; "
            f"give the shape of one, with layout={rest!r}"
        )
    return problem


def _most_entries(problem: Problem) -> int:
    """Return how many entries the matrix has: exactly for constant padding, at most that many for another mode."""
    g = problem.geometry
    entries, modes = problem.filters * problem.group_channels, problem.padding_modes
    for axis, (n, k, stops) in enumerate(zip(g.spatial_shape, g.kernel_size, g.output_shape, strict=True)):
        if modes[axis] == "constant":
            entries *= sum(stop - first for first, stop in g.positions_inside(axis))
        else:
            entries *= stops * min(k, n)
    return entries


def _compressed_rows(problem: Problem, w: NDArray[Any], index: np.dtype[Any]) -> tuple[NDArray[Any], ...]:
    """Return the data, indices and indptr of the matrix, canonical: sorted, each pixel once in its row.

    Taps in the order of the image's axes stand in the order of their pixels. So a row that sees no padding, as most do,
    is an addition and a copy, and nothing is sorted. The matrix is made block by block, straight into the result.
    """
    rows = _Rows(problem, index)
    weights = rows.flattened(w)
    taps = weights.shape[1]
    ends = np.zeros(len(rows.starts) + 1, index)
    np.cumsum(rows.counts, out=ends[1:])
    data, indices = np.empty(ends[-1], weights.dtype), np.empty(ends[-1], index)
    if not len(data):
        return data, indices, ends
    step = max(1, _BLOCK // taps)
    for first in range(0, len(rows.starts), step):
        block = slice(first, min(first + step, len(rows.starts)))
        here = slice(ends[block.start], ends[block.stop])
        if rows.whole[block].all():
            np.add(rows.starts[block, None], rows.taps, out=indices[here].reshape(-1, taps))
            # All filters exist; with mode="raise" NumPy would write to a buffer first.
            np.take(weights, rows.filters[block], 0, out=data[here].reshape(-1, taps), mode="clip")
        else:
            columns, values = rows.starts[block, None] + rows.taps, weights[rows.filters[block]]
            kept = rows.settle(first, columns, values)
            indices[here], data[here] = columns[kept], values[kept]
    return data, indices, ends


class _Rows:
    """The rows of the matrix, and the taps within a row, both in the order of the image's axes.

    Parameters
    ----------
    problem : Problem
        Of one image.
    index : dtype
        Of rows and columns.

    Attributes
    ----------
    starts : ndarray, (rows,)
        The column of each row's first tap; any number where that tap lies in the padding.
    taps : ndarray, (taps,)
        How far from there the column of each tap lies.
    filters : ndarray, (rows,)
        The filter of each row.
    counts : ndarray, (rows,)
        How many pixels each row holds.
    whole : ndarray of bool, (rows,)
        Which rows see no padding.
    """

    def __init__(self, problem: Problem, index: np.dtype[Any]) -> None:
        g, layout = problem.geometry, problem.layout
        steps = row_major(problem.x_shape)
        self._problem, self._index = problem, index
        self._pixel_steps, self._channel_step = layout.spatial_shape(steps), layout.size(CHANNEL, steps)
        self._axes = layout.axes if layout.has_channels else CHANNEL + layout.axes
        self._shape = self._arranged(g.output_shape, problem.groups, problem.group_filters)
        self._tap_shape = self._arranged(g.kernel_size, problem.group_channels)
        self._sources = [
            source_index(n, before, after, mode)
            for n, (before, after), mode in zip(g.spatial_shape, g.padding, problem.padding_modes, strict=True)
        ]
        group_step = problem.group_channels * self._channel_step
        starts = offsets(self._shape, self._arranged(g.position_strides(self._pixel_steps), group_step, 0))
        taps = offsets(self._tap_shape, self._arranged(g.tap_strides(self._pixel_steps), self._channel_step))
        self.starts = (starts + g.first_pixel(self._pixel_steps)).astype(index)
        self.taps = taps.astype(index)
        self.filters = offsets(self._shape, self._arranged((0,) * g.ndim, problem.group_filters, 1)).astype(index)
        seen, held = zip(*map(self._along, range(g.ndim)), strict=True)
        channels = (np.ones(problem.groups, index), np.full(problem.group_filters, problem.group_channels, index))
        self.counts = reduce(np.multiply.outer, self._arranged(held, *channels)).reshape(-1)
        self.whole = reduce(np.multiply.outer, self._arranged(seen, *channels)).reshape(-1) == problem.group_taps

    def _arranged(self, spatial: Sequence[T], *channel: T) -> tuple[T, ...]:
        """Return values of the spatial axes and of the channels in the order of the image's axes."""
        at = self._axes.index(CHANNEL)
        return (*spatial[:at], *channel, *spatial[at:])

    def _along(self, axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return how many taps lie on the image, and how many pixels they show, at each stop along an axis."""
        g, k = self._problem.geometry, self._problem.geometry.kernel_size[axis]
        seen = np.diff(g.taps_inside(axis, np.arange(g.output_shape[axis]))).reshape(-1).astype(self._index)
        if self._problem.padding_modes[axis] == "constant":
            return seen, seen
        held = np.full_like(seen, k)
        edge = np.flatnonzero(seen < k)
        for first in range(0, len(edge), step := max(1, _BLOCK // k)):
            stops = edge[first : first + step]
            shown = np.sort(self._pixels(axis, stops))
            held[stops] = 1 + np.count_nonzero(np.diff(shown), axis=1)
        return seen, held

    def _pixels(self, axis: int, stops: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of an axis that the taps show at its stops, (stops, taps); -1 for the constant."""
        g = self._problem.geometry
        first = stops[:, None] * g.stride[axis]
        return self._sources[axis][first + np.arange(g.kernel_size[axis]) * g.dilation[axis]]

    def flattened(self, w: NDArray[Any]) -> NDArray[Any]:
        """Return the weights with the taps in this order, (filters, taps), in the matrix's dtype."""
        order = self._arranged(range(2, w.ndim), 1)
        if self._problem.flip:
            w = np.flip(w, tuple(range(2, w.ndim)))
        return w.transpose(0, *order).reshape(len(w), len(self.taps)).astype(self._problem.accumulator)

    def settle(self, first: int, columns: NDArray[Any], values: NDArray[Any]) -> NDArray[np.bool_]:
        """Correct those rows of a block that see padding, and return which of its entries are entries of the matrix.

        Parameters
        ----------
        first : int
            The first row of the block.
        columns, values : ndarray, (rows, taps)
            Of the block, as if no row saw padding. Overwritten.
        """
        kept = np.ones(columns.shape, bool)
        edge = np.flatnonzero(~self.whole[first : first + len(columns)])
        shown = self._shown(first + edge)
        if self._problem.padding_mode == "constant":
            kept[edge] = shown >= 0
            return kept
        order = np.argsort(shown, axis=1, kind="stable")
        shown = np.take_along_axis(shown, order, axis=1)
        new = np.ones(shown.shape, bool)
        np.not_equal(shown[:, 1:], shown[:, :-1], out=new[:, 1:])
        weights = np.take_along_axis(values[edge], order, axis=1)
        weights[new] = np.add.reduceat(weights.reshape(-1), np.flatnonzero(new), dtype=weights.dtype)
        columns[edge], values[edge], kept[edge] = shown, weights, new & (shown >= 0)
        return kept

    def _shown(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the columns of the pixels that rows show, (rows, taps); below 0 for the constant."""
        problem, at = self._problem, np.unravel_index(rows, self._shape)
        first = self._axes.index(CHANNEL)
        channels = at[first][:, None] * problem.group_channels + np.arange(problem.group_channels)
        pixels = map(self._pixels, range(problem.geometry.ndim), (*at[:first], *at[first + 2 :]))
        steps = self._arranged(self._pixel_steps, self._channel_step)
        nowhere = -math.prod(problem.x_shape)  # so low that no other axis makes up for it
        shown = np.zeros((len(rows), *[1] * len(self._tap_shape)), np.int64)
        for axis, (places, step) in enumerate(zip(self._arranged(tuple(pixels), channels), steps, strict=True)):
            shape = [-1 if axis == i else 1 for i in range(len(steps))]
            shown = shown + np.where(places < 0, nowhere, places * step).reshape(len(rows), *shape)
        return shown.reshape(len(rows), len(self.taps))
