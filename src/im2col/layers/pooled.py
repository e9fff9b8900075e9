"""One pooling, all its arguments checked: what all public functions that pool share."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine.host import array_bytes, require_memory
from ..engine.threads import resolve_threads
from ..errors import DTypeError
from ..importing import importing
from ..memory import NOTHING, keep, recall, told_apart
from ..spec import layout as layouts
from ..spec.arguments import flag
from ..spec.arrays import check_numbers, check_output, is_registered, native
from ..spec.padding import image_geometry, window_fields
from ..spec.pool import COMPARED, Pool
from ..spec.problem import accumulator
from .again import OneCall, run_again

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..spec.layout import Layout
    from ..spec.pool import Reduction
    from .again import Look

    Array = NDArray[Any]

WAY_OUT = "pool fewer images at a time"
_RESULT = "the result {} of {}"


class Window(NamedTuple):
    """The arguments of a window as users give them.

    Parameters
    ----------
    kernel_size : int or tuple of int, or None
        None for windows of the whole image.
    stride, padding, dilation, ceil_mode, count_include_pad
        As for `average_pool`.
    """

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: Any = False
    count_include_pad: Any = True

    def over(self, shape: tuple[int, ...], layout: str | None, reduction: Reduction) -> tuple[Layout, Pool]:
        """Return the axes of an image, and its windows.

        Raises
        ------
        GeometryError, LayoutError, ArgumentError
            If an argument does not fit.
        """
        if self.kernel_size is None:
            axes = axes_of(shape, layout)
            size: Any = tuple(max(1, n) for n in axes.spatial_shape(shape))
        else:
            size = self.kernel_size
            axes = layouts.resolve(layout, len(shape), layouts.spatial_ndim(size, layout, len(shape)))
        stride = size if self.stride is None else self.stride
        ceil_mode, counted = flag("ceil_mode", self.ceil_mode), flag("count_include_pad", self.count_include_pad)
        fields = size, stride, self.padding, self.dilation
        geometry = image_geometry(axes, layout, shape, *fields, ceil_mode=ceil_mode)
        asked = window_fields(axes.spatial, geometry.spatial_shape, *fields)[2]
        ends = tuple(n + after for n, (_, after) in zip(geometry.spatial_shape, asked, strict=True))
        return axes, Pool(reduction, geometry, ends, counted)


def axes_of(shape: tuple[int, ...], layout: str | None) -> Layout:
    """Return the axes of an image whose windows do not tell how many are spatial: two, or the one of a signal."""
    count = len(layouts.parse(layout).spatial) if layout is not None else max(1, min(2, len(shape)))
    return layouts.resolve(layout, len(shape), count)


class Pooling(NamedTuple):
    """How images of one kind are pooled.

    Parameters
    ----------
    axes : Layout
    pool : Pool
    work : dtype
        That the image is pooled in.
    shape : tuple of int
        Of the result, in the image's layout.
    dtype : dtype
        Of the result.
    """

    axes: Layout
    pool: Pool
    work: np.dtype[Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def result(self, out: Any, inputs: Sequence[Array], beside: Callable[[], int] | None = None) -> Array:
        """Return where the result goes, a plain array, after a look at the memory that it takes.

        Parameters
        ----------
        out : ndarray or None
        inputs : sequence of ndarray
            That it must not overwrite.
        beside : callable, optional
            Returns the bytes that are taken beside image and result.

        Raises
        ------
        OutputError, MemoryBudgetError
        """
        if out is not None:
            checked = check_output(out, self.shape, self.dtype, inputs)
            if beside is not None:
                require_memory(beside(), WAY_OUT, "the workspace for {}", self.shape)
            return checked
        nbytes = array_bytes(self.shape, self.dtype.itemsize)
        if beside is not None:
            require_memory(nbytes, WAY_OUT, _RESULT, self.shape, self.dtype)
            require_memory(nbytes, WAY_OUT, _RESULT, self.shape, self.dtype, beside=beside())
        return self._new(nbytes)

    def _new(self, nbytes: int) -> Array:
        """Return where a result of so many bytes goes."""
        require_memory(nbytes, WAY_OUT, _RESULT, self.shape, self.dtype)
        return np.empty(self.shape, self.dtype)

    def workspace_bytes(self, x: Array, threads: int) -> int:
        """Return the bytes that `fill` takes beside image and result, at most."""
        with importing:
            from ..algorithms.pooling import workspace_bytes

        given = self.axes.to_canonical(x)
        strides, out_strides = given.strides, self._strides(given, self.pool.geometry.output_shape, self.made)
        converted = 0
        if x.dtype != self.work:
            converted += x.size * self.work.itemsize
            strides = self._strides(given, given.shape[2:], self.work)
        if self.dtype != self.made:
            converted += math.prod(self.shape) * self.made.itemsize
        return converted + workspace_bytes(self.pool, given.shape, self.work, strides, out_strides, threads)

    def _strides(self, given: Array, spatial: Sequence[int], dtype: np.dtype[Any]) -> tuple[int, ...]:
        """Return the strides, with canonical axes, of a dense array of as many images and channels."""
        return self.axes.strides(given.shape[0], given.shape[1], spatial, dtype.itemsize)

    @property
    def made(self) -> np.dtype[Any]:
        """The dtype that pooling gives."""
        return np.dtype(np.int64) if self.pool.reduction == "place" else self.work

    def fill(self, x: Array, result: Array, threads: int) -> None:
        """Write the result."""
        with importing:
            from ..algorithms.pooling import pool

        image = x if x.dtype == self.work else x.astype(self.work)
        is_made = result.dtype == self.made and result.dtype.isnative
        wide = result if is_made else np.empty(result.shape, self.made)
        pool(self.pool, self.axes.to_canonical(image), self.axes.to_canonical(wide), threads)
        if not is_made:
            with np.errstate(all="ignore"):
                result[...] = wide

    def one_call(self, x: Array, result: Array, threads: int) -> OneCall | None:
        """Return how images like these are pooled by one call of the engine; None where they are not."""
        if x.dtype != self.work or result.dtype != self.made or not result.dtype.isnative:
            return None
        with importing:
            from ..algorithms.pooling import engine_call

        image, out = self.axes.to_canonical(x), self.axes.to_canonical(result)
        run = engine_call(self.pool, image.shape, image.dtype, image.strides, out.strides, threads)
        nbytes = array_bytes(self.shape, self.dtype.itemsize)
        return run and OneCall(
            lambda out, given: self._new(nbytes) if out is None else self.result(out, given), run, None
        )


def pooled(x: Array, reduction: Reduction, window: Window, layout: str | None, out: Any, threads: int | None) -> Array:
    """Return the pooled image, with all arguments checked unless this kind of call is known.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError, OutputError, MemoryBudgetError
    """
    workers = resolve_threads(threads)
    plain = told_apart((reduction, layout, *window))
    kind: Any = None
    if plain is not None and (out is None or type(out) is np.ndarray):
        kind = pooled, x.shape, x.strides, x.dtype, out is None or out.strides, workers, plain
    return run_again(kind, (x,), out, workers, first_pooled, reduction, window, layout, workers)


def first_pooled(
    arrays: tuple[Array], out: Any, reduction: Reduction, window: Window, layout: str | None, threads: int
) -> tuple[Array, Look]:
    """Pool images that are not known, and return the result and what would be known of it; see `run_again`."""
    (x,) = arrays
    pooling = pooling_of(x, reduction, window, layout)
    result = pooling.result(out, arrays, lambda: pooling.workspace_bytes(x, threads))
    pooling.fill(x, result, threads)
    return result if out is None else out, partial(pooling.one_call, x, result, threads)


def pooling_of(x: Array, reduction: Reduction, window: Window, layout: str | None) -> Pooling:
    """Return how an image is pooled: as that was found for an earlier one of its kind, or anew.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError
        If an argument does not fit.
    """
    plain = told_apart((reduction, layout, *window))
    kind = pooling_of, x.shape, x.dtype, plain
    known: Any = NOTHING if plain is None else recall(kind)
    if known is not NOTHING:
        return known  # type: ignore[no-any-return]  # what was kept below
    work, dtype = _dtypes(x.dtype, reduction)
    axes, what = window.over(x.shape, layout, reduction)
    batch, channels = axes.size(layouts.BATCH, x.shape), axes.size(layouts.CHANNEL, x.shape)
    shape = axes.from_canonical_shape(batch, channels, what.geometry.output_shape)
    found = Pooling(axes, what, work, shape, dtype)
    return found if plain is None else keep(kind, found)


def _dtypes(dtype: np.dtype[Any], reduction: Reduction) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return in which dtype an image is pooled, and that of the result.

    Raises
    ------
    DTypeError
    """
    check_numbers("x", dtype)
    own = native(dtype)
    if reduction in COMPARED:
        if dtype.kind == "c":
            raise DTypeError(
                f"x has dtype {dtype}, and complex numbers have no greatest one; pool their real and imaginary parts, "
                "or their magnitudes, as in np.abs(x)"
            )
        # Of other packages' floats the engine compares bfloat16's as they are.
        work = np.dtype(np.float32) if is_registered(dtype) and dtype.name != "bfloat16" else own
        return work, np.dtype(np.int64) if reduction == "place" else own
    if dtype.kind in "biu":
        return np.dtype(np.float64), np.dtype(np.float64)
    return accumulator(own), own
