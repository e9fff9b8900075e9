"""Padding: from what the user writes to pixel counts, and the padded image itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..errors import ArgumentError, DTypeError, GeometryError, named, shown
from .arguments import INTEGER_OR_ONE_PER_AXIS, checked_shape, integer, is_a, is_sequence, per_axis, plain, word
from .arrays import as_array, holds, is_registered, native, own
from .border import fill_border
from .geometry import Geometry, Pairs
from .layout import Layout, default

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

PaddingName = Literal["valid", "same", "same_lower", "full", "causal", "multiple"]
PaddingMode = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
Padding = PaddingName | int | tuple[int | tuple[int, int], ...]

_OTHER_NAMES = (
    "; torch's 'circular' is 'wrap', 'replicate' is 'edge', 'zeros' is 'constant'; scipy.ndimage's 'reflect' is "
    "'symmetric', 'mirror' is 'reflect', 'nearest' is 'edge'"
)
_MOST_COLOURS = 4
"""Channels of a photograph, with its transparency: so short a last axis may be they."""
_NAMES = get_args(PaddingName)
_MODES = get_args(PaddingMode)


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
    name = word(padding)
    known = spatial_shape, kernel, strides, dilations
    pads = explicit_padding(padding, k) if name is None else _named(name, *known)
    return Geometry(spatial_shape, kernel, strides, pads, dilations, axes)


def image_geometry(
    axes: Layout,
    layout: str | None,
    shape: tuple[int, ...],
    kernel_size: object,
    stride: object,
    padding: object,
    dilation: object,
    channels: int | None = None,
) -> Geometry:
    """Return the geometry of windows over an image; where it does not fit, a photograph gets a hint to name its axes.

    Parameters
    ----------
    axes : Layout
        Of the image.
    layout : str or None
        The user's argument: None where the axes were taken by their number.
    shape : tuple of int
        Of the image.
    kernel_size, stride, padding, dilation
        The user's arguments.
    channels : int, optional
        How many channels the image must have, if that is known.

    Raises
    ------
    GeometryError, ArgumentError
        As `resolve_geometry`.
    """
    window = kernel_size, stride, padding, dilation
    try:
        return resolve_geometry(axes.spatial, axes.spatial_shape(shape), *window)
    except GeometryError as error:
        last = axes.channels_last if layout is None else None
        if last is None or not 1 <= shape[-1] <= _MOST_COLOURS or channels not in (None, shape[-1]):
            raise
        try:
            resolve_geometry(last.spatial, last.spatial_shape(shape), *window)
        except GeometryError:
            raise error from None
        raise GeometryError(f"{error}; if the channels come last, pass layout={last.axes!r}") from None


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
    shape = checked_shape("spatial_shape", spatial_shape)
    return resolve_geometry(default(len(shape), len(shape)).axes, shape, kernel_size, stride, padding, dilation)


def _named(
    name: str,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Pairs:
    if name not in _NAMES:
        raise ArgumentError(f"padding must be an integer, one entry per axis, or one of {_NAMES}; got {shown(name)}")
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
            f"padding has {len(entries)} entries {shown(entries)} for {k} spatial {axes}; give one integer, or one "
            f"entry per axis, each an integer or a (before, after) pair such as {((1, 2),) * k!r}"
        )
    pairs = []
    for entry in entries:
        sides = plain(entry) if is_sequence(entry) else (entry, entry)
        if len(sides) != 2:
            raise GeometryError(f"an entry of padding must be an integer or a (before, after) pair, got {shown(sides)}")
        before, after = (integer("padding", p, minimum=0) for p in sides)
        pairs.append((before, after))
    return tuple(pairs)


def check_mode(mode: object, geometry: Geometry) -> PaddingMode:
    """Return a padding mode, and refuse an unknown one, or one that would copy pixels of an image that has none.

    Raises
    ------
    ArgumentError
        If `mode` is not one of ``np.pad``'s five names that are supported.
    GeometryError
        If an axis of length 0 is to be padded from its own pixels.
    """
    known: Any = word(mode)
    if known not in _MODES:
        if is_a(mode, (list, tuple)):
            raise ArgumentError(
                f"padding_mode takes one name for all axes, got {shown(mode)}; where axes differ, pad x first with "
                "np.pad, axis by axis"
            )
        others = _OTHER_NAMES * is_a(mode, str)
        raise ArgumentError(f"padding_mode must be one of {_MODES}, got {shown(mode)}{others}")
    if known == "constant":
        return "constant"
    for i, (n, pair) in enumerate(zip(geometry.spatial_shape, geometry.padding, strict=True)):
        if n == 0 and any(pair):
            raise GeometryError(
                f"padding_mode {known!r} needs pixels to copy but spatial axis {i} of the image has none; use "
                "padding_mode='constant'"
            )
    return known  # type: ignore[no-any-return]  # one of them


def constant(value: object, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the padding value as a 0-d array of the image's dtype.

    Parameters
    ----------
    value : scalar
        The user's `padding_value`.
    dtype : dtype
        The image's.

    Returns
    -------
    ndarray, shape ()

    Raises
    ------
    DTypeError
        If `dtype` cannot hold the value: a NaN or a fraction for integers, a negative number for unsigned ones, a
        complex number for reals.
    """
    if type(value) is int and value == 0 and not is_registered(dtype):  # all but the rare call
        return np.zeros((), dtype)
    wrong = DTypeError(f"padding_value {shown(value)} is not a value of the image's dtype {dtype}")
    try:
        scalar = np.asarray(value) if is_a(value, int) else own(as_array("padding_value", value))
        if is_a(value, int) and scalar.dtype.hasobject and dtype.kind not in "biu":
            scalar = np.asarray(float(value))  # an integer beyond 64 bits
    except Exception:
        raise wrong from None
    if scalar.ndim and scalar.dtype.kind in "biufc":
        raise DTypeError(
            f"padding_value takes one scalar for all channels, got {shown(value)}; where channels differ, pad x first "
            "with np.pad, channel by channel"
        )
    kinds = "biufc" if dtype.kind == "c" else "biuf"
    if scalar.ndim or scalar.dtype.kind not in kinds:
        raise wrong
    with np.errstate(all="ignore"):
        try:
            # From Python's own number: NumPy refuses to wrap those, and rounds them once.
            cast = np.array(scalar.item()).astype(dtype)
            if dtype.kind in "iu" and scalar.dtype.kind in "iu":
                cast = np.array(scalar.item(), dtype)
        except (TypeError, ValueError, OverflowError):
            raise wrong from None
        exact = bool(cast == scalar) if dtype.kind in "biu" else True
        if is_registered(dtype):
            exact = holds(dtype, scalar, cast)
        overflow = bool(np.isfinite(scalar)) and not bool(np.isfinite(cast.astype(np.complex128)))
    if overflow or not exact:
        raise wrong
    return cast


def pad_image(
    x: NDArray[Any],
    pairs: Sequence[tuple[int, int]],
    mode: str,
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
    mode : str
        One of ``np.pad``'s: constant, edge, reflect, symmetric, wrap.
    value : ndarray, shape (), or None
        The constant; only read for ``mode="constant"``.
    copy : callable
        What copies the image into the padded one: ``copy(dst, src)``.

    Returns
    -------
    ndarray
        A new array of x's dtype in native byte order, in C order of x's axes.
    """
    shape, dtype = [n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True)], native(x.dtype)
    padded = np.zeros(shape, dtype) if mode == "constant" else np.empty(shape, dtype)
    if mode == "constant" and value is not None and any(value.tobytes()):  # the bytes: -0.0 is a value of its own
        padded[...] = value
    fill_padded(padded, x, pairs, mode, copy)
    return padded


def fill_padded(
    padded: NDArray[Any],
    x: NDArray[Any],
    pairs: Sequence[tuple[int, int]],
    mode: str,
    copy: Callable[[NDArray[Any], NDArray[Any]], None] = np.copyto,
) -> None:
    """Write an image into an array with room for its padding, and the padding too unless it is a constant.

    Parameters
    ----------
    padded : ndarray
        Its border holds the constant already where `mode` is ``"constant"``.
    x, pairs, mode, copy
        As for `pad_image`.
    """
    inner = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, pairs, strict=True))
    copy(padded[inner], x)
    if mode == "constant":
        return
    for axis, (n, pair) in enumerate(zip(x.shape, pairs, strict=True)):
        if any(pair):
            # Of the axes that follow, whose borders come later, the pixels alone.
            known = padded[(slice(None),) * (axis + 1) + inner[axis + 1 :]]
            fill_border(known.swapaxes(0, axis), n, pair[0], mode)
