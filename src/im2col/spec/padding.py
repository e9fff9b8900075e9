"""Padding: from what the user writes to pixel counts and modes, and the padded image itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..errors import ArgumentError, GeometryError, named
from .arrays import native
from .border import fill_border, fold_border
from .geometry import INTEGER_OR_ONE_PER_AXIS, Geometry, Pairs, integer, is_sequence, per_axis, plain
from .layout import default

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

PaddingName = Literal["valid", "same", "same_lower", "full", "causal", "multiple"]
ModeName = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
PaddingMode = ModeName | tuple[ModeName, ...]
Mode = str | tuple[str, ...]
"""The padding mode of all axes, or one for each where they differ: what `check_mode` returns."""
Padding = PaddingName | int | tuple[int | tuple[int, int], ...]

_OTHER_NAMES = (
    "; torch's 'circular' is 'wrap', 'replicate' is 'edge', 'zeros' is 'constant'; scipy.ndimage's 'reflect' is "
    "'symmetric', 'mirror' is 'reflect', 'nearest' is 'edge'"
)
_NAMES = get_args(PaddingName)
_MODES = get_args(ModeName)


def resolve_geometry(
    axes: str,
    spatial_shape: tuple[int, ...],
    kernel_size: object,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
) -> Geometry:
    """Turn a user's window arguments into a geometry.

    Parameters
    ----------
    axes : str
        The letters of the spatial axes.
    spatial_shape : tuple of int
        The image's spatial axes, in pixels.
    kernel_size, stride, dilation : int or sequence of int
        One value for all axes, or one each.
    padding : int, sequence or str
        An int for every side; one entry an axis, each an int or a (before, after) pair; or a name: ``"valid"``
        none; ``"same"`` the output is ceil(size / stride), the odd pixel after; ``"same_lower"`` the odd pixel
        before; ``"full"`` every window that touches the image; ``"causal"`` all before; ``"multiple"`` the fewest
        pixels after with which no pixel is left over: every pixel lies in a window, but for those that a stride longer
        than the window leaves out everywhere. With stride = kernel, that is up to a multiple of the kernel.

    Returns
    -------
    Geometry

    Raises
    ------
    GeometryError
        If a value is out of range or a window spans more than the padded image.
    ArgumentError
        If `padding` is an unknown name.

    Examples
    --------
    >>> resolve_geometry("W", (6,), 3, stride=2, padding="same").padding
    ((0, 1),)
    """
    k = len(axes)
    for axis, n in zip(axes, spatial_shape, strict=True):
        integer(f"the length of axis {axis}", n, minimum=0)
    kernel = per_axis("kernel_size", kernel_size, k, minimum=1)
    strides = per_axis("stride", stride, k, minimum=1)
    dilations = per_axis("dilation", dilation, k, minimum=1)
    if isinstance(padding, str):
        pads = _named(padding, spatial_shape, kernel, strides, dilations)
    else:
        pads = explicit_padding(padding, k)
    return Geometry(spatial_shape, kernel, strides, pads, dilations, axes)


@named
def window_geometry(
    spatial_shape: tuple[int, ...],
    kernel_size: int | tuple[int, ...],
    *,
    stride: int | tuple[int, ...] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, ...] = 1,
) -> Geometry:
    """Return the geometry of a window sliding over an image: which pixel stands where in the column matrix.

    Parameters
    ----------
    spatial_shape : tuple of int
        The image's spatial axes, in pixels.
    kernel_size, stride, dilation : int or tuple of int
        One value for all axes, or one each.
    padding : int, tuple or str
        As for `im2col`.

    Returns
    -------
    Geometry
        Frozen and hashable: the output's shape, and the index map as offsets, as strides and pixel by pixel.

    Raises
    ------
    GeometryError, ArgumentError
        If an argument does not fit.

    Examples
    --------
    >>> from im2col import window_geometry
    >>> g = window_geometry((224, 224), 7, stride=2, padding=3)
    >>> g.output_shape, g.pixel(position=0, tap=24)
    ((112, 112), (0, 0))
    """
    if not isinstance(spatial_shape, list | tuple):
        raise ArgumentError(f"spatial_shape must be a tuple of integers, got {spatial_shape!r}")
    axes = default(len(spatial_shape), len(spatial_shape)).axes
    return resolve_geometry(axes, tuple(spatial_shape), kernel_size, stride, padding, dilation)


def _named(
    name: str,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Pairs:
    if name not in _NAMES:
        raise ArgumentError(f"padding must be an integer, one entry per axis, or one of {_NAMES}; got {name!r}")
    pairs = []
    for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        reach = d * (k - 1)
        # TensorFlow's rule for "same": as many stops as strides start inside the image.
        total = max(0, (-(-n // s) - 1) * s + reach + 1 - n)
        # Stops until the last pixel is reached, but none that starts behind it.
        stops = max(1, min(-(-(n - reach - 1) // s) + 1, -(-n // s)))
        pairs.append(
            {
                "valid": (0, 0),
                "same": (total // 2, total - total // 2),
                "same_lower": (total - total // 2, total // 2),
                "full": (reach, reach),
                "causal": (reach, 0),
                "multiple": (0, max(0, (stops - 1) * s + reach + 1 - n) if n else 0),
            }[name]
        )
    return tuple(pairs)


def explicit_padding(padding: object, k: int) -> Pairs:
    """Return padding given in numbers as one (before, after) pair for each of k axes.

    Raises
    ------
    GeometryError
        If the count or a value is wrong.
    """
    if not is_sequence(padding):
        p = integer("padding", padding, 0, INTEGER_OR_ONE_PER_AXIS)
        return ((p, p),) * k
    entries = plain(padding)
    if len(entries) != k:
        axes = "axis" if k == 1 else "axes"
        raise GeometryError(
            f"padding has {len(entries)} entries {entries!r} for {k} spatial {axes}; give one integer, or one entry "
            f"per axis, each an integer or a (before, after) pair such as {((1, 2),) * k!r}"
        )
    pairs = []
    for entry in entries:
        sides = plain(entry) if is_sequence(entry) else (entry, entry)
        if len(sides) != 2:
            raise GeometryError(f"an entry of padding must be an integer or a (before, after) pair, got {sides!r}")
        before, after = (integer("padding", p, minimum=0) for p in sides)
        pairs.append((before, after))
    return tuple(pairs)


def check_mode(mode: object, geometry: Geometry) -> Mode:
    """Return a user's `padding_mode`: one name for all axes, a tuple of one each only where padded axes differ.

    Raises
    ------
    ArgumentError
        If a name is not one of ``np.pad``'s five that are supported, or there is not one for each axis.
    GeometryError
        If an axis of length 0 is to be padded from its own pixels.

    Examples
    --------
    >>> g = resolve_geometry("HW", (4, 8), 3, padding=1)
    >>> check_mode(("constant", "wrap"), g), check_mode(["edge", "edge"], g)
    (('constant', 'wrap'), 'edge')
    """
    names = plain(mode) if is_sequence(mode) else (mode,) * geometry.ndim
    if len(names) != geometry.ndim:
        axes = f"{geometry.ndim} spatial {'axis' if geometry.ndim == 1 else 'axes'}"
        raise ArgumentError(f"padding_mode has {len(names)} names {names!r} for {axes}; give one name, or one per axis")
    for name in names:
        if not isinstance(name, str) or name not in _MODES:
            hint = _OTHER_NAMES * isinstance(name, str)
            raise ArgumentError(f"padding_mode must be one of {_MODES}, got {name!r}{hint}")
    padded = [(i, name) for i, (name, pair) in enumerate(zip(names, geometry.padding, strict=True)) if any(pair)]
    for i, name in padded:
        if name != "constant" and geometry.spatial_shape[i] == 0:
            raise GeometryError(
                f"padding_mode {name!r} needs pixels to copy but spatial axis {i} of the image has none; use "
                "padding_mode='constant'"
            )
    if isinstance(mode, str):
        return mode
    different = {str(name) for _, name in padded} or {"constant"}
    return tuple(map(str, names)) if len(different) > 1 else different.pop()


def modes_along(mode: Mode, ndim: int) -> tuple[str, ...]:
    """Return the mode of each of an array's axes, of which the spatial ones are the last."""
    return (mode,) * ndim if isinstance(mode, str) else ("constant",) * (ndim - len(mode)) + mode


def pad_image(
    x: NDArray[Any],
    pairs: Sequence[tuple[int, int]],
    mode: Mode,
    value: NDArray[Any] | None,
    copy: Callable[[NDArray[Any], NDArray[Any]], None] = np.copyto,
) -> NDArray[Any]:
    """Return a padded copy of an image.

    Parameters
    ----------
    x : ndarray
        Any axes.
    pairs : sequence of (int, int)
        Pixels (before, after) each of x's axes.
    mode : str or tuple of str
        One of ``np.pad``'s: constant, edge, reflect, symmetric, wrap; or one for each of the last axes.
    value : ndarray, shape (), or None
        The constant, where an axis shows it; 0 if None.
    copy : callable
        What copies the image into the padded one: ``copy(dst, src)``.

    Returns
    -------
    ndarray
        A new array of x's dtype in native byte order, in C order of x's axes.
    """
    shape, dtype = [n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True)], native(x.dtype)
    holds_constant = "constant" in modes_along(mode, x.ndim)
    padded = np.zeros(shape, dtype) if holds_constant else np.empty(shape, dtype)
    if holds_constant and value is not None and any(value.tobytes()):  # the bytes: -0.0 is a value of its own
        padded[...] = value
    fill_padded(padded, x, pairs, mode, copy)
    return padded


def fill_padded(
    padded: NDArray[Any],
    x: NDArray[Any],
    pairs: Sequence[tuple[int, int]],
    mode: Mode,
    copy: Callable[[NDArray[Any], NDArray[Any]], None] = np.copyto,
) -> None:
    """Write an image into an array with room for its padding, and the padding too unless it is a constant.

    Parameters
    ----------
    padded : ndarray
        Its border holds the constant already where the mode of an axis is ``"constant"``.
    x, pairs, mode, copy
        As for `pad_image`.
    """
    inner = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, pairs, strict=True))
    copy(padded[inner], x)
    if mode == "constant":
        return
    for axis, (n, pair, along) in enumerate(zip(x.shape, pairs, modes_along(mode, x.ndim), strict=True)):
        if any(pair) and along != "constant":
            # Of the axes that follow, whose borders come later, the pixels alone.
            known = padded[(slice(None),) * (axis + 1) + inner[axis + 1 :]]
            fill_border(known.swapaxes(0, axis), n, pair[0], along)


def source_index(n: int, before: int, after: int, mode: str) -> NDArray[np.int64]:
    """Return which pixel each element of a padded axis shows; -1 where it shows the constant.

    Parameters
    ----------
    n : int
        Length of the axis without padding.
    before, after : int
        Its padding.
    mode : str
        The padding mode.

    Returns
    -------
    ndarray of int64, shape (before + n + after,)

    Examples
    --------
    >>> source_index(3, 2, 2, "reflect")
    array([2, 1, 0, 1, 2, 1, 0])
    """
    index = np.full(before + n + after, -1)
    index[before : before + n] = np.arange(n)
    if mode != "constant" and (before or after):
        fill_border(index, n, before, mode)
    return index


def fold_padding(padded: NDArray[Any], first_axis: int, geometry: Geometry, mode: Mode) -> NDArray[Any]:
    """Add each padded pixel to the pixel it was copied from: the adjoint of `pad_image`.

    Parameters
    ----------
    padded : ndarray
        Its axes from `first_axis` on have the lengths of ``geometry.padded_shape``. Overwritten.
    first_axis : int
        Where the spatial axes start.
    geometry : Geometry
        The padding.
    mode : str or tuple of str
        The padding mode, of all spatial axes or of each; under ``"constant"`` the padding is dropped.

    Returns
    -------
    ndarray
        A view of `padded` without its padding.
    """
    modes = modes_along(mode, geometry.ndim)
    for i, (n, (before, after)) in enumerate(zip(geometry.spatial_shape, geometry.padding, strict=True)):
        lines = padded.swapaxes(0, first_axis + i)
        folded = lines[before : before + n]
        if modes[i] != "constant" and (before or after):
            folded = fold_border(lines, n, before, modes[i])
        padded = folded.swapaxes(0, first_axis + i)
    return padded
