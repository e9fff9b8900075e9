"""The operations over labelled arrays: arguments as their namesakes in `im2col` have them, and checked as there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, named, shown
from ...importing import importing
from ...layers.convolution import conv as conv_block
from ...layers.pooling import average_pool as average_block
from ...layers.pooling import max_pool as max_block
from ...matrix.transform import patches as patches_block
from ...memory import memoized
from ...spec.arguments import flag, is_a, per_axis, plain
from ...spec.padding import resolve_geometry
from ...spec.problem import keywords, refuse_unknown
from .arrays import Made, apart, axes_of, is_lazy, named_dims, numbers_of, over
from .coordinates import centres
from .names import bank_of, by_dimension, is_name, kind_of, laid, letters_of, reordered, windows_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import ArrayLike, NDArray

    from ...spec.geometry import Geometry
    from .names import Bank, Laid, Names

    Array = NDArray[Any]

_DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1}
"""The arguments of windows, and what they say of dimensions that a mapping leaves out."""


@named
def conv(
    x: Any,
    w: Any,
    bias: ArrayLike | None = None,
    *,
    dims: Any = None,
    channels: Hashable | None = None,
    filters: Hashable | None = None,
    **options: Any,
) -> Any:
    """Convolve a labelled array with filters along the dimensions that are named: `im2col.conv`.

    Parameters
    ----------
    x : xarray.DataArray or xarray.Dataset
        Every dimension that is not named here is a batch. Of a dataset, arrays that have none of these dimensions stay
        as they are.
    w : array_like or xarray.DataArray
        A plain kernel with an axis for each of `dims`, with which every slice of `x` along them is convolved; or
        (n, C/groups, *kernel), filters that sum over `channels`. A DataArray may have its axes in any order: the
        dimensions that it shares with `x` are those that windows slide along, but for `channels`; one that `x` lacks is
        that of the maps. Labels of its channels must be those of `x`.
    bias : array_like or xarray.DataArray, (n,), optional
        Added to each output map. A DataArray has the dimension of the maps, and their labels in their order.
    dims : hashable or sequence of hashable
        The dimensions that windows slide along, in the order of the kernel's axes.
    channels : hashable, optional
        The dimension that the filters sum over.
    filters : hashable, optional
        The result's dimension of maps, in the place of `channels` (or before the first of `dims`): ``"filter"`` if left
        out, or `channels` itself where each has a filter of its own. A DataArray names it itself. `x` must have nothing
        else of that name.
    **options
        Every keyword of `im2col.conv` but `layout` and `out`. `stride`, `padding`, `dilation` and `padding_mode` may be
        mappings by dimension.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        With the dimensions in the order of `x`, its name, its attributes (unless xarray's option `keep_attrs` is
        False), and the coordinates of the windows' centres. Dask arrays stay lazy, and give the numbers of
        `im2col.integrations.dask.conv`.

    Raises
    ------
    Im2colError
        As `im2col.conv`; if dimensions do not fit, before anything is computed.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from im2col.integrations.xarray import conv
    >>> x = xr.DataArray(np.arange(12.0).reshape(3, 4), dims=("y", "x"), coords={"x": [10, 20, 30, 40]})
    >>> conv(x, np.ones((3, 2)), dims=("y", "x"))
    <xarray.DataArray (y: 1, x: 3)> Size: 24B
    array([[27., 33., 39.]])
    Coordinates:
      * x        (x) float64 24B 15.0 25.0 35.0
    Dimensions without coordinates: y
    """
    refuse_unknown("conv", options, keywords(conv_block) - {"layout", "out"})
    bank = bank_of(w, named_dims(x), dims, channels, filters, options.get("groups", 1))
    bank.check(x)
    needed = bank.windows if bank.channels is None else (*bank.windows, bank.channels)
    terms = None if bias is None else bank.terms(bias, x)
    return over(x, needed, partial(_convolved, bank, terms, options))


def _convolved(bank: Bank, bias: Array | None, options: dict[str, Any], x: Any, name: str) -> Made:
    """Return one array convolved."""
    adds_maps = bank.channels is None and bank.filters is not None
    at = laid(tuple(x.dims), bank.windows, bank.channels, lacks_channels=adds_maps)
    g, window = _window(at, x, bank.windows, bank.w.shape[2:], options)
    data = axes_of(x, name, at)
    w = bank.w.transpose(0, 1, *(2 + i for i in at.order))
    function = _dask().conv if is_lazy(data) else conv_block
    result = function(data, w, bias, **options | window, layout=at.layout)
    places = [dim if dim in at.windows else bank.filters for dim in at.axes]
    if None in places:  # channels of which there is one
        result = result[tuple(0 if dim is None else slice(None) for dim in (*at.batch[:1], *places))]
        places.remove(None)
    dims = tuple(bank.filters if dim == bank.channels else dim for dim in x.dims)
    if adds_maps:
        first = dims.index(at.windows[0])
        dims = (*dims[:first], bank.filters, *dims[first:])
    dropped = () if bank.channels is None else (bank.channels,)
    if bank.channels == bank.filters and bank.w.shape[:2] == (x.sizes.get(bank.channels), 1):
        dropped = ()  # of each channel a map
    made = _made(result, x, at, g, tuple(places), tuple(dim for dim in dims if dim is not None), dropped)
    return made._replace(coords=bank.coords)


@named
def max_pool(x: Any, kernel_size: Any, *, dims: Any = None, **options: Any) -> Any:
    """Return the greatest number of each window along the dimensions that are named: `im2col.max_pool`.

    Parameters
    ----------
    x : xarray.DataArray or xarray.Dataset
        As for `conv`.
    kernel_size : int, tuple of int, or mapping of hashable to int
        Of windows along each of `dims`.
    dims : hashable or sequence of hashable
        The dimensions that windows slide along; those of the mapping if left out.
    **options
        Every keyword of `im2col.max_pool` but `layout`, `out` and `return_indices`; as for `conv`, some may be
        mappings.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        As `conv`.

    Raises
    ------
    Im2colError
        As `im2col.max_pool`; if dimensions do not fit, before anything is computed.
    """
    refuse_unknown("max_pool", options, keywords(max_block) - {"layout", "out", "return_indices"})
    return _pooled("max_pool", x, kernel_size, dims, options)


@named
def average_pool(x: Any, kernel_size: Any, *, dims: Any = None, **options: Any) -> Any:
    """Return the mean of each window along the dimensions that are named: `im2col.average_pool`.

    Parameters
    ----------
    x, kernel_size, dims
        As for `max_pool`.
    **options
        Every keyword of `im2col.average_pool` but `layout` and `out`; as for `conv`, some may be mappings.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        As `conv`.

    Raises
    ------
    Im2colError
        As `im2col.average_pool`; if dimensions do not fit, before anything is computed.
    """
    refuse_unknown("average_pool", options, keywords(average_block) - {"layout", "out"})
    return _pooled("average_pool", x, kernel_size, dims, options)


def _pooled(function: str, x: Any, kernel_size: Any, dims: Any, options: dict[str, Any]) -> Any:
    """Return a pooled array or dataset."""
    windows, sizes = _sizes(x, kernel_size, dims)
    own = {"stride": sizes, **{key: value for key, value in options.items() if value is not None}}
    if is_a(own["stride"], Mapping):  # of what it leaves out, windows lie side by side
        own["stride"] = dict(zip(windows, sizes, strict=True)) | dict(own["stride"])
    block: Any = {"max_pool": max_block, "average_pool": average_block}[function]

    def pooled(array: Any, name: str) -> Made:
        at = laid(tuple(array.dims), windows)
        g, window = _window(at, array, windows, sizes, own)
        data = axes_of(array, name, at)
        pool = getattr(_dask(), function) if is_lazy(data) else block
        # The padding as it was asked for: what sticks out behind it is told apart.
        result = pool(data, g.kernel_size, **own | window, layout=at.layout)
        return _made(result, array, at, g, at.axes, tuple(array.dims))

    return over(x, windows, pooled)


@named
def patches(
    x: Any,
    kernel_size: Any,
    *,
    dims: Any = None,
    window_dims: Any = None,
    **options: Any,
) -> Any:
    """Return the patches of a labelled array: `im2col.patches`, and what ``x.rolling(…).construct(…)`` gives.

    Parameters
    ----------
    x : xarray.DataArray or xarray.Dataset
        As for `conv`.
    kernel_size, dims
        As for `max_pool`.
    window_dims : hashable, sequence of hashable, or mapping of hashable to hashable, optional
        Names of the windows' own dimensions, which come last, in the order of `dims`; ``"y_tap"`` for ``"y"`` if left
        out.
    **options
        `stride`, `padding`, `dilation`, `padding_mode` and `padding_value` of `im2col.patches`.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        As `conv`; in memory a read-only view of `x` unless there is padding.

    Raises
    ------
    Im2colError
        As `im2col.patches`; if dimensions do not fit, before anything is computed.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from im2col.integrations.xarray import patches
    >>> patches(xr.DataArray(np.arange(4), dims="x"), {"x": 2}).values.tolist()
    [[0, 1], [1, 2], [2, 3]]
    """
    refuse_unknown("patches", options, {*_DEFAULTS, "padding_mode", "padding_value"})
    windows, sizes = _sizes(x, kernel_size, dims)
    new = _window_dims(window_dims, windows, x)

    def cut(array: Any, name: str) -> Made:
        own = tuple(array.dims)
        at = laid(own, windows)
        g, _ = _window(at, array, windows, sizes, options)
        # Every dimension is a spatial one, of windows of one pixel where none slide: so nothing is put together.
        letter = dict(zip(own, letters_of(own), strict=True))
        place = {dim: i for i, dim in enumerate(at.windows)}
        alone = {"kernel_size": 1, "stride": 1, "padding": (0, 0), "dilation": 1}
        fields: dict[str, Any] = {
            key: tuple(getattr(g, key)[place[dim]] if dim in place else other for dim in own)
            for key, other in alone.items()
        }
        fields |= _modes(options, windows, letter)
        data = numbers_of(array, name)
        function = _dask().patches if is_lazy(data) else patches_block
        if "padding_value" in options:
            fields["padding_value"] = options["padding_value"]
        if 0 in (array.sizes[dim] for dim in at.batch) and not is_lazy(data):  # where no window of one pixel fits
            lengths = dict(array.sizes) | dict(zip(at.windows, g.output_shape, strict=True))
            result = np.empty((*lengths.values(), *g.kernel_size), data.dtype)
        else:
            result = function(data, layout="".join(letter.values()), **fields)
            result = result[(..., *(slice(None) if dim in place else 0 for dim in own))]
        taps = [new[windows.index(dim)] for dim in at.windows]
        order = (*range(len(own)), *(len(own) + taps.index(name) for name in new))
        return Made(result.transpose(order), (*own, *new), _along(at, g))

    return over(x, windows, cut)


def _window_dims(given: Any, windows: Names, x: Any) -> Names:
    """Return the names of the windows' own dimensions."""
    default = tuple(f"{dim}_tap" for dim in windows)
    if given is None:
        found: Names = default
    elif is_a(given, Mapping):
        said = by_dimension("window_dims", given, windows, None)
        found = tuple(own if each is None else each for own, each in zip(default, said, strict=True))
    else:
        found = tuple(plain(given)) if is_a(given, (list, tuple)) else (given,)
    names = set(filter(is_name, found))
    if not len(names) == len(found) == len(windows) or any(kind_of(name, x) for name in names):
        raise ArgumentError(
            f"window_dims must name a new dimension for each of {shown(windows)}, none of x's, got "
            f"{shown(found if given is None else given)}"
        )
    return found


def _sizes(x: Any, kernel_size: Any, dims: Any) -> tuple[Names, tuple[int, ...]]:
    """Return the dimensions that windows slide along, and the windows' sizes."""
    known = named_dims(x)
    if dims is None:
        if not is_a(kernel_size, Mapping):
            raise ArgumentError(
                f"dims must name the dimensions of x, {shown(known)}, that windows slide along; or pass their sizes by "
                f"name, as in {{{shown(known[-1] if known else 'x')}: 3}}"
            )
        dims = tuple(kernel_size)
    windows = windows_of(dims, known)
    return windows, per_axis("kernel_size", by_dimension("kernel_size", kernel_size, windows, 1), len(windows), 1)


def _window(
    at: Laid, x: Any, windows: Names, sizes: tuple[int, ...], options: dict[str, Any]
) -> tuple[Geometry, dict[str, Any]]:
    """Return the windows over an array, and its options that have a value for each dimension, in the array's order.

    Raises
    ------
    GeometryError, ArgumentError
    """
    said = {
        key: reordered(by_dimension(key, options[key], windows, default), at)
        for key, default in _DEFAULTS.items()
        if key in options
    }
    arguments = (said.get(key, default) for key, default in _DEFAULTS.items())
    shape = tuple(x.sizes[dim] for dim in at.windows)
    ceil_mode = flag("ceil_mode", options.get("ceil_mode", False))
    g = _geometry(tuple(map(shown, at.windows)), shape, at.given(sizes), *arguments, ceil_mode=ceil_mode)
    return g, said | _modes(options, windows, dict(zip(at.windows, at.letters, strict=True)))


_geometry = memoized(resolve_geometry)


def _modes(options: dict[str, Any], windows: Names, letters: dict[Hashable, str]) -> dict[str, Any]:
    """Return the padding mode by the letters of a layout, if there is one; along other axes nothing is padded."""
    if "padding_mode" not in options:
        return {}
    given = by_dimension("padding_mode", options["padding_mode"], windows, "constant")
    if is_a(options["padding_mode"], (list, tuple)):
        raise ArgumentError(
            "padding_mode is one name for all dimensions, or a mapping by their names such as "
            f"{{{shown(windows[-1])}: 'wrap'}}; got {shown(given)}"
        )
    if not is_a(options["padding_mode"], Mapping):
        if len(letters) == len(windows):
            return {"padding_mode": given}
        given = (given,) * len(windows)
    return {"padding_mode": {letters[dim]: mode for dim, mode in zip(windows, given, strict=True)}}


def _made(result: Any, x: Any, at: Laid, g: Geometry, axes: Names, dims: Names, dropped: Names = ()) -> Made:
    """Return a result with its axes in the order of some dimensions."""
    data = apart(result, x, at)
    found = (*at.batch, *axes)
    if found != dims:
        data = data.transpose(tuple(found.index(dim) for dim in dims))
    return Made(data, dims, _along(at, g), dropped)


def _along(at: Laid, g: Geometry) -> dict[Hashable, Any]:
    return dict(zip(at.windows, centres(g), strict=True))


def _dask() -> Any:
    """Return the operations of dask arrays."""
    with importing:
        from .. import dask

    return dask
