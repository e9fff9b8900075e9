"""The operations over dask arrays: arguments as their namesakes in `im2col` have them, and checked as there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np

from ...errors import ArgumentError, DTypeError, ShapeError, class_of, named, shown
from ...layers.convolution import conv as conv_block
from ...layers.convolution import convolution, may_fix
from ...layers.pooled import Window, pooling_of
from ...layers.pooling import average_pool as average_block
from ...layers.pooling import max_pool as max_block
from ...layers.transpose import conv_transpose as transpose_block
from ...layers.transpose import transposition
from ...matrix.frame import resolve_frame
from ...matrix.transform import patches as patches_block
from ...spec.arrays import as_array
from ...spec.cuts import channel_cuts, spread_cuts, whole_cuts, window_cuts
from ...spec.foreign import wrapped
from ...spec.padded import modes_along
from ...spec.padding import check_mode
from ...spec.problem import keywords, refuse_unknown
from .graph import Along, over_chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from ...spec.cuts import Cut
    from ...spec.geometry import Geometry
    from ...spec.layout import Layout
    from ...spec.padded import Mode
    from ...spec.transposed import Transposed

    Array = NDArray[Any]


@named
def conv(x: Any, w: ArrayLike, bias: ArrayLike | None = None, **options: Any) -> Any:
    """Convolve a dask array with filters: `im2col.conv`, chunk by chunk.

    Parameters
    ----------
    x : dask.array.Array
        The image, with chunks of any sizes along any axes: also smaller than the window.
    w : array_like, (n, C/groups, *kernel)
        The filters; a NumPy array, as `bias` is.
    bias : array_like, (n,), optional
        Added to each output map.
    **options
        Every keyword of `im2col.conv` but `out`. `threads` is 1 unless given, as chunks are computed side by side.
        `chunked` is True unless an algorithm is named that cannot, or numbers are complex.

    Returns
    -------
    dask.array.Array
        Of the shape and dtype of ``im2col.conv(x, …)``, chunked as `x` along the spatial axes and the batch, by groups
        along the channels; and of the bits of ``im2col.conv(x, …, chunked=True)``.

    Raises
    ------
    Im2colError
        As `im2col.conv`, before anything is computed; if the chunks' sizes are not known.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from im2col.integrations.dask import conv
    >>> x = da.ones((1, 1, 100, 100), chunks=(1, 1, 40, 30))
    >>> y = conv(x, np.ones((2, 1, 5, 5)), stride=2, padding=2)
    >>> y.chunks
    ((1,), (2,), (20, 20, 10), (15, 15, 15, 5))
    >>> float(y[0, 0, 10, 10].compute())
    25.0
    """
    refuse_unknown("conv", options, keywords(conv_block) - {"out"})
    check(x)
    filters, terms = as_array("w", w), None if bias is None else as_array("bias", bias)
    given = {"threads": 1, "chunked": may_fix(x.dtype, filters.dtype, options.get("algorithm", "auto")), **options}
    problem = convolution(x.shape, x.dtype, filters, terms, **given).operation.choices[0].problem
    g, axes = problem.geometry, problem.layout
    one_each = not (np.ndim(given.get("padding_value", 0)) or np.ndim(given.get("w_zero_point", 0)))
    apart = one_each and _is_depthwise(problem)
    channels = channel_cuts(_channels(x, axes), problem.filters, apart=apart)
    step = _Convolution(axes, filters, terms, apart, given, modes_along(problem.padding_mode, g.ndim))
    cuts = _cuts(x, axes, g, problem.padding_mode, channels)
    return over_chunks("conv", x, step, cuts, [Along(i) for i in range(x.ndim)], problem.dtype)


@named
def conv_transpose(x: Any, w: ArrayLike, bias: ArrayLike | None = None, **options: Any) -> Any:
    """Apply the transpose of a convolution to a dask array: `im2col.conv_transpose`, chunk by chunk.

    Parameters
    ----------
    x : dask.array.Array
    w : array_like, (F, C/groups, *kernel)
        The weights; a NumPy array, as `bias` is.
    bias : array_like, (C,), optional
        Added to each output map.
    **options
        Every keyword of `im2col.conv_transpose` but `out`; `threads` and `chunked` as for `conv`.

    Returns
    -------
    dask.array.Array
        Of the shape and dtype of ``im2col.conv_transpose(x, …)``, and of its bits with ``chunked=True``.

    Raises
    ------
    Im2colError
        As `im2col.conv_transpose`, before anything is computed; if the chunks' sizes are not known.
    """
    refuse_unknown("conv_transpose", options, keywords(transpose_block) - {"out"})
    check(x)
    weights, terms = as_array("w", w), None if bias is None else as_array("bias", bias)
    given = {"threads": 1, "chunked": may_fix(x.dtype, weights.dtype, options.get("algorithm", "auto")), **options}
    t: Transposed = transposition(x.shape, x.dtype, weights, terms, **given).operation.spec[0]
    apart = _is_depthwise(t)
    along = {"C": channel_cuts(_channels(x, t.layout), t.channels, apart=apart)}
    for letter, i in _places(t.layout).items():
        span = t.dilation[i] * (t.kernel_size[i] - 1) + 1
        chunks = x.chunks[t.layout.axes.index(letter)]
        along[letter] = spread_cuts(chunks, span, t.stride[i], t.before[i], t.image[i])
    step = _Transpose(t.layout, weights, terms, apart, given)
    cuts = [along.get(letter) or whole_cuts(x.chunks[i]) for i, letter in enumerate(t.layout.axes)]
    return over_chunks("conv-transpose", x, step, cuts, [Along(i) for i in range(x.ndim)], t.dtype)


@named
def max_pool(x: Any, kernel_size: Any, **options: Any) -> Any:
    """Return the greatest pixel of each window of a dask array: `im2col.max_pool`, chunk by chunk.

    Parameters
    ----------
    x : dask.array.Array
    kernel_size : int or tuple of int
    **options
        Every keyword of `im2col.max_pool` but `out` and `return_indices`; `threads` as for `conv`.

    Returns
    -------
    dask.array.Array
        Of the shape, dtype and bits of ``im2col.max_pool(x, …)``.

    Raises
    ------
    Im2colError
        As `im2col.max_pool`, before anything is computed; if the chunks' sizes are not known.
    """
    refuse_unknown("max_pool", options, keywords(max_block) - {"out", "return_indices"})
    return _pooled("max_pool", x, kernel_size, options)


@named
def average_pool(x: Any, kernel_size: Any, **options: Any) -> Any:
    """Return the mean of each window of a dask array: `im2col.average_pool`, chunk by chunk.

    Parameters
    ----------
    x : dask.array.Array
    kernel_size : int or tuple of int
    **options
        Every keyword of `im2col.average_pool` but `out`; `threads` as for `conv`.

    Returns
    -------
    dask.array.Array
        Of the shape, dtype and bits of ``im2col.average_pool(x, …)``.

    Raises
    ------
    Im2colError
        As `im2col.average_pool`, before anything is computed; if the chunks' sizes are not known.
    """
    refuse_unknown("average_pool", options, keywords(average_block) - {"out"})
    return _pooled("average_pool", x, kernel_size, options)


def _pooled(name: str, x: Any, kernel_size: Any, options: dict[str, Any]) -> Any:
    check(x)
    window = Window(kernel_size, **{name: options[name] for name in Window._fields if name in options})
    reduction: Any = "maximum" if name == "max_pool" else "mean"
    pooling = pooling_of(x, reduction, window, options.get("layout"))
    g, axes = pooling.pool.geometry, pooling.axes
    given = {"threads": 1, **options, "stride": g.stride}
    step = _Pool(name, axes, pooling.pool.ends, g.kernel_size, g.positions == 1, given)
    cuts = _cuts(x, axes, g, "constant", None)
    return over_chunks(name.replace("_", "-"), x, step, cuts, [Along(i) for i in range(x.ndim)], pooling.dtype)


@named
def patches(x: Any, kernel_size: Any, **options: Any) -> Any:
    """Return the patches of a dask array: `im2col.patches`, chunk by chunk.

    Parameters
    ----------
    x : dask.array.Array
    kernel_size : int or tuple of int
    **options
        Every keyword of `im2col.patches` but `copy`.

    Returns
    -------
    dask.array.Array
        Of the shape and dtype of ``im2col.patches(x, …)``; each of its chunks is a view of a block of the image.

    Raises
    ------
    Im2colError
        As `im2col.patches`, before anything is computed; if the chunks' sizes are not known.
    """
    refuse_unknown("patches", options, keywords(patches_block) - {"copy"})
    check(x)
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "layout": None}
    more = {"orientation": "rows", "tap_order": "channel-first"}
    arguments: Any = [options.get(name, value) for name, value in (defaults | more).items()]
    frame = resolve_frame(x.shape, kernel_size, *arguments)
    g, axes = frame.geometry, frame.layout
    mode = check_mode(options.get("padding_mode", "constant"), axes, g)
    step = _Patches(axes, g.kernel_size, modes_along(mode, g.ndim), options)
    place = {letter: Along(i) for i, letter in enumerate(axes.axes)}
    windows = [place[letter] for letter in axes.spatial]
    kernel, channel = [Along(None, k) for k in g.kernel_size], [place["C"]] if axes.has_channels else []
    taps = channel + kernel if frame.tap_order == "channel-first" else kernel + channel
    order = windows + taps if frame.orientation == "rows" else taps + windows
    one_each = np.ndim(options.get("padding_value", 0)) > 0
    cuts = _cuts(x, axes, g, mode, channel_cuts(_channels(x, axes), frame.channels, apart=False) if one_each else None)
    lead = [place["N"]] if axes.has_batch else []
    return over_chunks("patches", x, step, cuts, lead + order, x.dtype)


class _Convolution(NamedTuple):
    """See `graph.Step`; `apart` says that a block may have some of the channels, each of which has one filter."""

    layout: Layout
    w: Array
    bias: Array | None
    apart: bool
    options: dict[str, Any]
    modes: tuple[str, ...]

    def __call__(self, block: Array, cuts: Sequence[Cut]) -> Array:
        w, bias, groups = _of_block(self, cuts)
        return conv_block(block, w, bias, **self.options | _windows(self.layout, cuts, self.modes) | groups)


class _Transpose(NamedTuple):
    """See `graph.Step`; `apart` as for `_Convolution`."""

    layout: Layout
    w: Array
    bias: Array | None
    apart: bool
    options: dict[str, Any]

    def __call__(self, block: Array, cuts: Sequence[Cut]) -> Array:
        along = dict(zip(self.layout.axes, cuts, strict=True))
        pads = [along[letter].pads for letter in self.layout.spatial]
        given = {
            "padding": tuple((before, max(0, after)) for before, after in pads),
            "output_padding": tuple(max(0, -after) for _, after in pads),
            "output_size": None,
        }
        w, bias, groups = _of_block(self, cuts)
        return transpose_block(block, w, bias, **self.options | given | groups)


class _Pool(NamedTuple):
    """See `graph.Step`; `ends` are where the padding ends that was asked for, as `Pool` has them.

    `single` says that the whole image has one window.
    """

    name: str
    layout: Layout
    ends: tuple[int, ...]
    kernel_size: tuple[int, ...]
    single: bool
    options: dict[str, Any]

    def __call__(self, block: Array, cuts: Sequence[Cut]) -> Array:
        along = dict(zip(self.layout.axes, cuts, strict=True))
        pads, sticks = [], False
        for letter, end in zip(self.layout.spatial, self.ends, strict=True):
            cut = along[letter]
            before, after = cut.pads
            most = max(0, end - (cut.first + cut.size))
            pads.append((before, min(after, most)))
            sticks = sticks or after > most
        windows = self.layout.spatial_shape([cut.length for cut in cuts])
        alone = self.name == "average_pool" and set(windows) == {1} and not self.single
        if alone:  # an image that is one window is summed in another order: there is another one before it
            pads[-1] = pads[-1][0] + self.options["stride"][-1], pads[-1][1]
        given = {"padding": tuple(pads), "ceil_mode": sticks, "layout": self.layout.axes}
        pool = max_block if self.name == "max_pool" else average_block
        pooled = pool(block, self.kernel_size, **self.options | given)
        last = [slice(1, None) if letter == self.layout.spatial[-1] else slice(None) for letter in self.layout.axes]
        return pooled[tuple(last)] if alone else pooled


class _Patches(NamedTuple):
    """See `graph.Step`."""

    layout: Layout
    kernel_size: tuple[int, ...]
    modes: tuple[str, ...]
    options: dict[str, Any]

    def __call__(self, block: Array, cuts: Sequence[Cut]) -> Array:
        window = _windows(self.layout, cuts, self.modes)
        return patches_block(block, self.kernel_size, **self.options | window)


def check(x: Any, name: str = "x") -> None:
    """Raise an error for what is no dask array of NumPy's, has no pixels, or chunks of unknown sizes."""
    if not isinstance(x, da.Array):
        way = f"{name}.data" if isinstance(wrapped(x), da.Array) else "NumPy arrays to im2col's own functions"
        raise ArgumentError(f"{name} must be a dask array, got {shown(x)}; pass {way}")
    if isinstance(x._meta, np.ma.MaskedArray):
        raise DTypeError(
            f"{name} has masked chunks, whose masks would be lost; fill them first, as in "
            f"dask.array.ma.filled({name}, 0)"
        )
    if not isinstance(x._meta, np.ndarray):
        raise DTypeError(
            f"{name} has chunks of {class_of(x._meta)}, and not of NumPy's arrays; turn each into one with "
            f"{name}.map_blocks"
        )
    if any(math.isnan(n) for each in x.chunks for n in each):
        raise ShapeError(f"{name} has chunks of unknown sizes, {x.chunks}; call {name}.compute_chunk_sizes() first")
    if 0 in x.shape:
        raise ShapeError(f"{name} of shape {x.shape} has no pixels; compute it, and pass it to im2col's own function")


def _places(axes: Layout) -> dict[str, int]:
    """Return the number of each spatial axis."""
    return {letter: i for i, letter in enumerate(axes.spatial)}


def _channels(x: Any, axes: Layout) -> tuple[int, ...]:
    """Return the chunks of the channels: one of one, where there is no axis of them."""
    chunks: tuple[int, ...] = x.chunks[axes.axes.index("C")] if axes.has_channels else (1,)
    return chunks


def _cuts(x: Any, axes: Layout, g: Geometry, mode: Mode, channels: list[Cut] | None) -> list[list[Cut]]:
    """Return the cuts along each axis of an image with windows; `channels` if those are not computed alone."""
    places, modes, found = _places(axes), modes_along(mode, g.ndim), []
    for letter, chunks in zip(axes.axes, x.chunks, strict=True):
        if letter in places:
            i = places[letter]
            window = g.span[i], g.stride[i], g.padding[i][0], g.output_shape[i]
            found.append(window_cuts(chunks, *window, modes[i] if any(g.padding[i]) else "constant"))
        else:
            found.append(channels if letter == "C" and channels is not None else whole_cuts(chunks))
    return found


def _windows(axes: Layout, cuts: Sequence[Cut], modes: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of a block's windows: what pads with pixels is a part of it."""
    along = dict(zip(axes.axes, cuts, strict=True))
    pads = tuple(
        along[letter].pads if mode == "constant" else (0, 0) for letter, mode in zip(axes.spatial, modes, strict=True)
    )
    return {"padding": pads, "padding_mode": "constant", "layout": axes.axes}


def _is_depthwise(layer: Any) -> bool:
    """Return whether channels of a layer, or of a transpose, have nothing to do with one another."""
    return bool(layer.groups == layer.channels == layer.filters > 1)


def _of_block(step: _Convolution | _Transpose, cuts: Sequence[Cut]) -> tuple[Array, Array | None, dict[str, Any]]:
    """Return the weights and the bias of a block's channels, and how many groups they are where they are apart."""
    if not step.apart:
        return step.w, step.bias, {}
    cut = cuts[step.layout.axes.index("C")]
    some = slice(cut.first, cut.first + cut.size)
    return step.w[some], None if step.bias is None else step.bias[some], {"groups": cut.size}
