"""The filters of PNG's rows: what predicts a byte from the pixel to its left and from those above, and its undoing.

Left, above and above left are called a, b and c, as in the standard (W3C, "PNG Specification", chapter 9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.builder import Builder
from ..engine.compiler import Kernel, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..engine.numbers import Value
    from ..engine.target import Target

    Bytes = NDArray[np.uint8]

_AT_ONCE = 1 << 16
"""Bytes of rows that are predicted at once, so that what is tried stays in the caches."""
NONE, SUB, UP, AVERAGE, PAETH = range(5)
"""What a row's first byte says: how it was predicted."""


def unfiltered(lines: Bytes, above: Bytes, pixel: int) -> Bytes:
    """Return rows of bytes whose filters are undone.

    Parameters
    ----------
    lines : ndarray of uint8, (n, 1 + row)
        Each row's filter, and its bytes.
    above : ndarray of uint8, (row,)
        The row above the first one; zeros, where there is none.
    pixel : int
        Bytes from one to that which stands to its left.

    Raises
    ------
    ValueError
        If there is no such filter.
    """
    rows = np.concatenate([above[None], lines[:, 1:]])
    kinds = lines[:, 0].tolist()
    if max(kinds) > PAETH:
        raise ValueError(f"a row has filter {max(kinds)}")
    undo = _sequential(pixel, set(kinds) - {NONE, UP})
    for number, kind in enumerate(kinds, 1):
        row, b = rows[number], rows[number - 1]
        if kind == UP:
            row += b
        elif kind != NONE:
            undo[kind](row, b)
    return rows[1:]


def filtered(rows: Bytes, above: Bytes, pixel: int, *, choose: bool) -> Bytes:
    """Return rows with a filter each: of none, left and above the one whose differences have the least magnitudes.

    Parameters
    ----------
    rows : ndarray of uint8, (n, row)
    above : ndarray of uint8, (row,)
        As for `unfiltered`.
    pixel : int
        As for `unfiltered`.
    choose : bool
        Or leave the rows as they are, for those who do not compress them.

    Returns
    -------
    ndarray of uint8, (n, 1 + row)
    """
    lines = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    lines[:, 0], lines[:, 1:] = NONE, rows
    if not choose:
        return lines
    at_once = max(1, _AT_ONCE // rows.shape[1])
    for top in range(0, len(rows), at_once):
        some = rows[top : top + at_once]
        left, up = some.copy(), np.empty_like(some)
        left[:, pixel:] -= some[:, :-pixel]
        up[0], up[1:] = some[0] - above, some[1:] - some[:-1]
        above = some[-1]
        kinds = np.argmin([_magnitudes(some), _magnitudes(left), _magnitudes(up)], axis=0)
        lines[top : top + at_once, 0] = kinds
        for kind, differences in ((SUB, left), (UP, up)):
            for row in np.flatnonzero(kinds == kind).tolist():
                lines[top + row, 1:] = differences[row]
    return lines


def _magnitudes(rows: Bytes) -> NDArray[np.int64]:
    """Return the sum of each row's bytes as signed numbers without their signs, as libpng weighs filters."""
    total: NDArray[np.int64] = np.minimum(rows, np.negative(rows)).sum(axis=1, dtype=np.int64)
    return total


def _sequential(pixel: int, kinds: set[int]) -> dict[int, Any]:
    """Return what undoes filters by which each byte waits for the one before it: kernels, or loops of Python."""
    found: dict[int, Any] = {}
    for kind in kinds:
        kernel = load(_kernel(kind, pixel))
        found[kind] = _loop(kind, pixel) if kernel is None else _called(kernel, pixel)
    return found


def _called(kernel: Any, pixel: int) -> Any:
    def undo(row: Bytes, above: Bytes) -> None:
        kernel(row.ctypes.data, above.ctypes.data, len(row) // pixel)

    return undo


def _loop(kind: int, pixel: int) -> Any:
    def undo(row: Bytes, above: Bytes) -> None:
        # A pixel of zeros before each row: what is left of its first.
        done, b = bytearray(pixel) + row.tobytes(), bytes(pixel) + above.tobytes()
        for i in range(pixel, len(done)):
            left = done[i - pixel]
            guesses = {SUB: left, AVERAGE: (left + b[i]) // 2}
            guess = guesses[kind] if kind in guesses else _paeth(left, b[i], b[i - pixel])
            done[i] = (done[i] + guess) & 255
        row[:] = np.frombuffer(done, np.uint8)[pixel:]

    return undo


def _paeth(a: int, b: int, c: int) -> int:
    """Return whichever of three neighbours is nearest to a + b - c, the first of those that are."""
    to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return a if to_a <= to_b and to_a <= to_c else b if to_b <= to_c else c


def _kernel(kind: int, pixel: int) -> Kernel:
    """Return the kernel that undoes a filter, in place, for a row and the one above it."""
    names = {SUB: "png_sub", AVERAGE: "png_average", PAETH: "png_paeth"}
    return Kernel(names[kind], _build, (kind, pixel), 3)


def _build(name: str, _target: Target, kind: int, pixel: int) -> str:
    b = Builder(name, "*row *above pixels")
    byte, nothing = b.integer(1), b.constant(0)

    def number(base: Value, at: Value) -> Value:
        return b.grow(b.load(b.at(base, at), byte), "u1", "u8", b.i64)

    def magnitude(value: Value) -> Value:
        return b.larger(value, b.sub(nothing, value))

    def guess(left: Value, above: Value, corner: Value) -> Value:
        if kind == SUB:
            return left
        if kind == AVERAGE:
            return b.quotient(b.add(left, above), 2)
        across, down = b.sub(above, corner), b.sub(left, corner)  # a + b - c less a, and less b
        to_a, to_b, to_c = magnitude(across), magnitude(down), magnitude(b.add(across, down))
        other = b.choose(b.smaller_than(to_c, to_b), corner, above)
        return b.choose(b.smaller_than(b.smaller(to_b, to_c), to_a), other, left)

    # The pixel to the left, and the one above that, stay in registers.
    with b.accumulate(nothing, b["pixels"], [nothing] * (2 * pixel)) as state:
        for i in range(pixel):
            at = b.add(b.mul(state.index, pixel), b.constant(i))
            left, corner = state.values[2 * i : 2 * i + 2]
            above = number(b["*above"], at)
            value = b.narrowed(b.add(number(b["*row"], at), guess(left, above, corner)), 1)
            b.store(value, b.at(b["*row"], at))
            state.values[2 * i : 2 * i + 2] = b.grow(value, "u1", "u8", b.i64), above
    return b.finish()
