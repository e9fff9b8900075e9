"""The padded image: filled from its own pixels or with a constant, and folded back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..memory import recalled
from .arrays import native
from .border import fill_border, fold_border

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .geometry import Geometry

Mode = str | tuple[str, ...]
"""The padding mode of all axes, or one for each where they differ."""


def modes_along(mode: Mode, ndim: int) -> tuple[str, ...]:
    """Return the mode of each of an array's axes, of which the spatial ones are the last.

    Examples
    --------
    >>> modes_along("edge", 2), modes_along(("reflect", "wrap"), 3)
    (('edge', 'edge'), ('constant', 'reflect', 'wrap'))
    """
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
    value : ndarray, or None
        The constant, where an axis shows it: broadcast against `x`; 0 if None.
    copy : callable
        What copies the image into the padded one: ``copy(dst, src)``.

    Returns
    -------
    ndarray
        A new array of x's dtype in native byte order, in C order of x's axes.
    """
    (shape, _), dtype = _place(x.shape, tuple(pairs)), native(x.dtype)
    holds_constant = mode == "constant" or "constant" in modes_along(mode, x.ndim)
    padded = np.zeros(shape, dtype) if holds_constant else np.empty(shape, dtype)
    if holds_constant and value is not None and any(value.tobytes()):  # the bytes: -0.0 is a value of its own
        padded[...] = value
    fill_padded(padded, x, pairs, mode, copy)
    return padded


def _place(shape: tuple[int, ...], pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """Return the shape of a padded image, and where the image lies in it."""
    return recalled((_placed, shape, pairs), partial(_placed, shape, pairs))


def _placed(shape: tuple[int, ...], pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    inner = tuple(slice(before, before + n) for n, (before, _) in zip(shape, pairs, strict=True))
    return tuple(n + before + after for n, (before, after) in zip(shape, pairs, strict=True)), inner


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
    inner = _place(x.shape, tuple(pairs))[1]
    copy(padded[inner], x)
    if mode == "constant":
        return
    modes = modes_along(mode, x.ndim)
    for axis, (before, after) in enumerate(pairs):
        if (before or after) and modes[axis] != "constant":
            # Of the axes that follow, whose borders come later, the pixels alone.
            known = padded[(slice(None),) * (axis + 1) + inner[axis + 1 :]]
            fill_border(known.swapaxes(0, axis), x.shape[axis], before, modes[axis])


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


def shown_at(places: NDArray[np.int64], n: int, mode: str) -> NDArray[np.int64]:
    """Return which pixels places of a padded axis show, as `source_index`, for a few places of a long axis.

    Parameters
    ----------
    places : ndarray of int64
        Coordinates of the axis without padding: negative before it, n and more behind it.
    n : int
        Its length.
    mode : str
        The padding mode.

    Examples
    --------
    >>> shown_at(np.arange(-2, 5), 3, "reflect").tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    if mode == "constant":
        return np.where((places >= 0) & (places < n), places, -1)
    if mode == "edge" or n == 1:
        return np.clip(places, 0, n - 1)
    if mode == "wrap":
        return places % n
    turn = 1 if mode == "symmetric" else 0  # the pixel at which it turns is shown twice
    there = places % (2 * (n - 1 + turn))
    return np.minimum(there, 2 * (n - 1) + turn - there)


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
