"""Padding: from what the user writes to pixel counts, modes and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..errors import ArgumentError, DTypeError, GeometryError, ShapeError, named, shown
from .arguments import INTEGER_OR_ONE_PER_AXIS, checked_shape, integer, is_a, is_sequence, per_axis, plain, word
from .arrays import as_array, holds, is_registered, own
from .geometry import Axes, Geometry, Pairs
from .layout import Layout, default

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .padded import Mode

PaddingName = Literal["valid", "same", "same_lower", "full", "causal", "multiple"]
ModeName = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
PaddingMode = ModeName | Mapping[str, ModeName]
"""One mode for all spatial axes, or those of some by their letters; all others are constant."""
Padding = PaddingName | int | tuple[int | tuple[int, int], ...]

_OTHER_NAMES = (
    "; torch's 'circular' is 'wrap', 'replicate' is 'edge', 'zeros' is 'constant'; scipy.ndimage's 'reflect' is "
    "'symmetric', 'mirror' is 'reflect', 'nearest' is 'edge'"
)
_MOST_COLOURS = 4
"""Channels of a photograph, with its transparency: so short a last axis may be they."""
_NAMES = get_args(PaddingName)
_MODES = get_args(ModeName)


def resolve_geometry(
    axes: Axes,
    spatial_shape: tuple[int, ...],
    kernel_size: object,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    *,
    ceil_mode: bool = False,
) -> Geometry:
    """Turn a user's window arguments into a geometry.

    Parameters
    ----------
    axes : str or tuple of str
        The letters of the spatial axes, or what else errors call them.
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
    ceil_mode : bool
        Whether a last window may stick out behind the padding, if it begins before it: there is more padding then.

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
    kernel, strides, pads, dilations = window_fields(axes, spatial_shape, kernel_size, stride, padding, dilation)
    if ceil_mode:
        fields = zip(spatial_shape, kernel, strides, pads, dilations, strict=True)
        pads = tuple((each[3][0], _with_a_last_window(*each)) for each in fields)
    return Geometry(spatial_shape, kernel, strides, pads, dilations, axes)


def window_fields(
    axes: Axes, spatial_shape: tuple[int, ...], kernel_size: object, stride: object, padding: object, dilation: object
) -> tuple[tuple[int, ...], tuple[int, ...], Pairs, tuple[int, ...]]:
    """Return kernel size, strides, padding and dilations as a geometry has them; arguments as of `resolve_geometry`."""
    k, name = len(axes), word(padding)
    for axis, n in zip(axes, spatial_shape, strict=True):
        integer(f"the length of axis {axis}", n, minimum=0)
    kernel = per_axis("kernel_size", kernel_size, k, minimum=1)
    strides = per_axis("stride", stride, k, minimum=1)
    dilations = per_axis("dilation", dilation, k, minimum=1)
    pads = explicit_padding(padding, k) if name is None else _named(name, spatial_shape, kernel, strides, dilations)
    return kernel, strides, pads, dilations


def _with_a_last_window(n: int, k: int, s: int, pair: tuple[int, int], d: int) -> int:
    """Return the padding after an axis with which no pixel is left over, but no window begins behind the image."""
    span, size = d * (k - 1) + 1, n + pair[0]
    last = min(-(-(size + pair[1] - span) // s), (size - 1) // s)  # the number of the last window, if there is one
    return max(pair[1], last * s + span - size) if last >= 0 else pair[1]


def image_geometry(
    axes: Layout,
    layout: str | None,
    shape: tuple[int, ...],
    kernel_size: object,
    stride: object,
    padding: object,
    dilation: object,
    channels: int | None = None,
    *,
    ceil_mode: bool = False,
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
    ceil_mode : bool
        As for `resolve_geometry`.

    Raises
    ------
    GeometryError, ArgumentError
        As `resolve_geometry`.
    """
    window = kernel_size, stride, padding, dilation
    try:
        return resolve_geometry(axes.spatial, axes.spatial_shape(shape), *window, ceil_mode=ceil_mode)
    except GeometryError as error:
        last = axes.channels_last if layout is None else None
        if last is None or not 1 <= shape[-1] <= _MOST_COLOURS or channels not in (None, shape[-1]):
            raise
        try:
            resolve_geometry(last.spatial, last.spatial_shape(shape), *window, ceil_mode=ceil_mode)
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


def check_mode(mode: object, layout: Layout, geometry: Geometry) -> Mode:
    """Return a user's `padding_mode`: one name for all axes, a tuple of one each only where padded axes differ.

    Parameters
    ----------
    mode : str or mapping of str to str
        The user's argument.
    layout : Layout
        Of the image.
    geometry : Geometry
        The padding.

    Raises
    ------
    ArgumentError
        If a name is not one of ``np.pad``'s five that are supported, or a letter is no spatial axis.
    GeometryError
        If an axis of length 0 is to be padded from its own pixels.

    Examples
    --------
    >>> g = resolve_geometry("HW", (4, 8), 3, padding=1)
    >>> check_mode({"W": "wrap"}, Layout("HW"), g), check_mode({"H": "edge", "W": "edge"}, Layout("CHW"), g)
    (('constant', 'wrap'), 'edge')
    """
    if type(mode) is str and mode == "constant":  # all but the rare call
        return mode
    names = tuple(map(_known_mode, _modes_given(mode, layout.spatial)))
    for i, (name, n, pair) in enumerate(zip(names, geometry.spatial_shape, geometry.padding, strict=True)):
        if n == 0 and name != "constant" and any(pair):
            raise GeometryError(
                f"padding_mode {name!r} needs pixels to copy but spatial axis {i} of the image has none; use "
                "padding_mode='constant'"
            )
    if names.count(names[0]) == len(names):
        return names[0]
    different = {name for name, pair in zip(names, geometry.padding, strict=True) if any(pair)} or {"constant"}
    return names if len(different) > 1 else different.pop()


def _known_mode(name: object) -> str:
    """Return the name of one mode."""
    known: Any = word(name)
    if known not in _MODES:
        others = _OTHER_NAMES * is_a(name, str)
        raise ArgumentError(f"padding_mode must be one of {_MODES}, got {shown(name)}{others}")
    return known  # type: ignore[no-any-return]  # one of them


def _modes_given(mode: object, axes: str) -> tuple[object, ...]:
    """Return what a user's `padding_mode` says of each spatial axis."""
    by_axis = "padding_mode is one name for all axes, or a mapping by axis such as {!r}; got {}"
    example: dict[str, str | None] = {axes[-1]: "wrap"}
    if is_a(mode, (list, tuple)):
        names = [word(name) for name in plain(mode)]
        if len(names) == len(axes) and all(name in _MODES for name in names):
            example = dict(zip(axes, names, strict=True))
        raise ArgumentError(by_axis.format(example, shown(mode)))
    if not is_a(mode, Mapping):
        return (mode,) * len(axes)
    try:
        modes = list(mode.items())
    except Exception as cause:  # a mapping that fails
        raise ArgumentError(by_axis.format(example, shown(mode))) from cause
    given = {word(letter): name for letter, name in modes}
    for letter, _ in modes:
        if word(letter) not in tuple(axes):
            raise ArgumentError(
                f"padding_mode has a mode for {shown(letter)} but the spatial axes of the image are {tuple(axes)}; "
                f"give modes of those, as in {example!r}"
            )
    return tuple(given.get(letter, "constant") for letter in axes)


def constant(value: object, dtype: np.dtype[Any], channels: int | None = None) -> NDArray[Any]:
    """Return the padding value as an array of the image's dtype.

    Parameters
    ----------
    value : scalar, or ndarray of one for each channel
        The user's `padding_value`.
    dtype : dtype
        The image's.
    channels : int, optional
        How many the image has; None if it has no axis for them.

    Returns
    -------
    ndarray, shape (), or (channels,) where they differ

    Raises
    ------
    DTypeError
        If `dtype` cannot hold the value: a NaN or a fraction for integers, a negative number for unsigned ones, a
        complex number for reals; or if several do not come as an ndarray.
    ShapeError
        If there are several, but not one for each channel.

    Examples
    --------
    >>> constant(np.array((1, 2, 3)), np.dtype(np.float32), 3)
    array([1., 2., 3.], dtype=float32)
    """
    if type(value) is int and value == 0 and not is_registered(dtype):  # all but the rare call
        return np.zeros((), dtype)
    wrong = DTypeError(f"padding_value {shown(value)} is not a value of the image's dtype {dtype}")
    try:
        is_masked = is_a(value, np.ma.MaskedArray)
        values = np.asarray(value) if is_masked or is_a(value, int) else own(as_array("padding_value", value))
        if is_a(value, int) and values.dtype.hasobject and dtype.kind not in "biu":
            values = np.asarray(float(value))  # an integer beyond 64 bits
    except Exception:
        raise wrong from None
    kinds = "biufc" if dtype.kind == "c" else "biuf"
    if values.dtype.kind not in kinds or (is_masked and not values.ndim):
        raise wrong
    if values.ndim:
        _check_channels(value, values.shape, channels)
    with np.errstate(all="ignore"):
        cast = values.astype(dtype)
        if is_registered(dtype):
            held = holds(dtype, values, cast)
        else:
            held = cast == values if dtype.kind in "biu" else np.full(values.shape, True)
        held &= ~np.isfinite(values) | np.isfinite(cast.astype(np.complex128))
    if not held.all():
        first = values[~held].reshape(-1)[0].item() if values.ndim else value
        raise DTypeError(f"padding_value {shown(first)} is not a value of the image's dtype {dtype}")
    # By their bytes: NaN is itself, -0.0 a value of its own.
    alike = cast.ndim and cast.tobytes() == cast[:1].tobytes() * len(cast)
    return np.array(cast[0] if len(cast) else 0, dtype) if alike else cast


def _check_channels(value: object, shape: tuple[int, ...], channels: int | None) -> None:
    """Refuse several padding values that are not an array of one for each channel."""
    if not is_a(value, np.ndarray) or is_a(value, np.ma.MaskedArray):
        raise DTypeError(
            "padding_value is one scalar, or an array of one value a channel such as np.array((1, 2, 3)); got "
            f"{shown(value)}"
        )
    if shape != (channels,):
        image = "the image has no channel axis" if channels is None else f"the image has {channels} channels"
        raise ShapeError(
            f"padding_value has shape {shape} but {image}; pass one scalar, or an array of one value a channel"
        )
