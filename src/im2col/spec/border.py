"""The border of one axis: filled from the pixels inside it, and added back to them, a block at a time.

Beyond the pixels, each mode but the constant one goes on with a period: ``wrap`` with that of the pixels, ``symmetric``
and ``reflect`` with that of the pixels there and back. So a border is a few copies of blocks of doubling size, and what
Python does for it grows with neither the image nor the padding, but for very large blocks, which are cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_FEW_LINES = 3
"""Lines up to which a block across an array is taken line by line: NumPy takes longer over so short runs."""
_FEW_TERMS = 8
"""Terms up to which a sum is made of additions: an accumulation calls NumPy's inner loop once for each pixel."""
_PIECE_BYTES = 1 << 20
"""Of what NumPy copies first because it cannot tell that two parts of one array share nothing."""


def fill_border(lines: NDArray[Any], n: int, before: int, mode: str) -> None:
    """Write the border of an axis, in place.

    Parameters
    ----------
    lines : ndarray, (before + n + after, ...)
        The axis is the first one; its lines ``before <= i < before + n`` are the pixels, at least one.
    n, before : int
    mode : str
        A padding mode, not ``"constant"``.
    """
    first, stop, end = before, before + n, len(lines)
    if mode == "edge" or n == 1:
        for line, border in ((lines[first], lines[:first]), (lines[stop - 1], lines[stop:])):
            _copy(border, np.broadcast_to(line, border.shape))
        return
    period = n
    if mode != "wrap":
        turn = 1 if mode == "reflect" else 0  # the pixel at which it turns is not shown twice
        way_back = n - turn
        period = 2 * way_back
        left, right = min(way_back, before), min(way_back, end - stop)
        _copy(lines[first - left : first], lines[first + turn : first + turn + left][::-1])
        _copy(lines[stop : stop + right], lines[stop - turn - right : stop - turn][::-1])
        first, stop = first - left, stop + right
    while stop < end:
        known = (stop - first) // period * period
        count = min(known, end - stop)
        _copy(lines[stop : stop + count], lines[stop - known : stop - known + count])
        stop += count
    while first > 0:
        known = (stop - first) // period * period
        count = min(known, first)
        _copy(lines[first - count : first], lines[first - count + known : first + known])
        first -= count


def fold_border(lines: NDArray[Any], n: int, before: int, mode: str) -> NDArray[Any]:
    """Add each line of a border to the pixels that it shows: the adjoint of `fill_border`.

    The lines that show one pixel are added in their order along the axis, one after the other.

    Parameters
    ----------
    lines : ndarray, (before + n + after, ...)
        As for `fill_border`; overwritten.
    n, before : int
    mode : str
        A padding mode, not ``"constant"``.

    Returns
    -------
    ndarray, (n, ...)
        A view of `lines`: the pixels.
    """
    pixels = lines[before : before + n]
    if mode == "edge" or n == 1:
        _add_terms(pixels[:1], lines[:before, None])
        _add_terms(pixels[-1:], lines[before + n :, None])
    else:
        _fold_side(pixels, lines[:before], -before, mode)
        _fold_side(pixels, lines[before + n :], n, mode)
    return pixels


def _fold_side(pixels: NDArray[Any], side: NDArray[Any], first: int, mode: str) -> None:
    """Add the lines at the coordinates from `first` on, all on one side of the pixels.

    The axis is cut into strokes, along each of which the pixels follow one another: there in even strokes, back in odd
    ones unless they wrap. Whole periods of small strokes are summed together.
    """
    stroke = len(pixels) - (mode == "reflect")
    period = stroke if mode == "wrap" else 2 * stroke
    small = 2 * side[:period].nbytes <= _PIECE_BYTES
    at, stop = first, first + len(side)
    while at < stop:
        periods = (stop - at) // period
        number, inside = divmod(at, stroke)
        if small and periods > 1 and at % period == 0:
            count = periods * period
            shape = (count // stroke, stroke, *side.shape[1:])
            _fold_strokes(pixels, side[at - first : at - first + count].reshape(shape, copy=False), mode)
        else:
            count = min(stroke - inside, stop - at)
            shown = pixels if mode == "wrap" or number % 2 == 0 else pixels[::-1]
            _add(shown[inside : inside + count], side[at - first : at - first + count])
        at += count


def _fold_strokes(pixels: NDArray[Any], strokes: NDArray[Any], mode: str) -> None:
    """Add whole periods: (strokes, lines, ...)."""
    if mode == "wrap":
        _add_terms(pixels, strokes)
        return
    turn = 1 if mode == "reflect" else 0  # there, each stroke starts at the pixel at which it turns
    if turn:
        _add_terms(pixels[:1], strokes[::2, :1])
        _add_terms(pixels[-1:], strokes[1::2, :1])
    inner = strokes[:, turn:]
    for piece in _pieces(inner[1::2]):
        back = inner[1::2][piece]
        back[...] = back[:, ::-1].copy()
    _add_terms(pixels[turn : len(pixels) - turn], inner)


def _add_terms(pixels: NDArray[Any], terms: NDArray[Any]) -> None:
    """Add terms (count, *pixels.shape) to the pixels, one after the other; they are overwritten."""
    for piece in _pieces(terms):
        some = terms[piece]
        if len(some) <= _FEW_TERMS:
            for term in some:
                _add(pixels, term)
        else:
            # np.add.reduce may sum in pairs, in an order that depends on strides.
            np.add(pixels, some[0], out=some[0])
            pixels[...] = np.add.accumulate(some, axis=0, dtype=some.dtype)[-1]


def _add(pixels: NDArray[Any], lines: NDArray[Any]) -> None:
    for piece in _pieces(lines, step=1 if len(lines) <= _FEW_LINES else None):
        pixels[piece] += lines[piece]


def _copy(to: NDArray[Any], source: NDArray[Any]) -> None:
    if len(to) <= _FEW_LINES:
        for i in range(len(to)):
            to[i] = source[i]
    elif np.may_share_memory(to, source):
        for piece in _pieces(to):
            to[piece] = source[piece]
    else:
        to[...] = source


def _pieces(lines: NDArray[Any], step: int | None = None) -> Iterator[slice]:
    """Cut the first axis into pieces of so many lines, or of bounded size."""
    step = step or max(1, _PIECE_BYTES // max(1, lines[:1].nbytes))
    for start in range(0, len(lines), step):
        yield slice(start, start + step)
