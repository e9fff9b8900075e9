"""Pixels made planes of floating-point numbers, and sums rounded and made pixels: by kernels, or else by NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.builder import Builder
from ..engine.compiler import Kernel, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..engine.numbers import Value
    from ..engine.target import Target

_LANES = 8
"""Pixels that are walked at once."""
_SIGNATURE = "*planes plane line *pixels row rows columns"
"""Where planes begin, and bytes from one to the next, and from row to row; the same of pixels; how many there are."""
_ROUNDING = f"{_SIGNATURE} *numbers"
"""And what sums are divided by, in 8 bytes, what is added, and the greatest pixel, both as float32."""


def as_planes(pixels: NDArray[Any], planes: NDArray[Any]) -> None:
    """Convert pixels (n, W, C), of integers, to planes (C, n, W)."""
    if not _walked("pixels_to_planes", _to_planes, pixels, planes):
        for plane, numbers in enumerate(pixels.transpose(2, 0, 1)):
            planes[plane] = numbers


def as_pixels(sums: NDArray[Any], pixels: NDArray[Any], *, divisor: float, offset: int, maximum: int) -> None:
    """Round planes of sums (C, n, W), and clip them, to pixels (n, W, C) of integers.

    Parameters
    ----------
    sums : ndarray of float32 or float64
        Which may be overwritten.
    pixels : ndarray of uint8 or uint16
    divisor : float
        By which sums are divided, before they are rounded to float32.
    offset : int
        What is added to that.
    maximum : int
        The greatest pixel.
    """
    numbers = np.zeros(16, np.uint8)
    numbers.view(sums.dtype)[0], numbers.view(np.float32)[2:] = divisor, (offset, maximum)
    if _walked("sums_to_pixels", _to_pixels, pixels, sums, numbers, divided=divisor != 1):
        return
    if divisor != 1:
        sums /= divisor
    values = sums.astype(np.float32, copy=False)
    values += offset
    np.rint(values, out=values)
    np.clip(values, 0, maximum, out=values)
    for plane, numbers in enumerate(values):
        pixels[:, :, plane] = numbers


def _walked(
    name: str, build: Any, pixels: NDArray[Any], planes: NDArray[Any], *tables: NDArray[Any], **options: bool
) -> bool:
    """Run a kernel over pixels and planes, and return whether there is one for them."""
    rows, columns, count = pixels.shape
    step, size = pixels.itemsize, planes.itemsize
    plain = pixels.strides[1:] == (count * step, step) and planes.strides[2] == size
    if pixels.dtype.kind != "u" or not plain or columns < _LANES:
        return False
    parameters = f"u{step}", f"f{size}", count, *options.values()
    function = load(Kernel(name, build, parameters, 7 + len(tables)))
    if function is None:
        return False
    places = planes.ctypes.data, *planes.strides[:2], pixels.ctypes.data, pixels.strides[0], rows, columns
    function(*places, *(table.ctypes.data for table in tables))
    return True


def _to_planes(name: str, _target: Target, pixel: str, number: str, count: int) -> str:
    b = Builder(name, _SIGNATURE)
    kind = b.vector(b.number(number), _LANES)
    for at, planes in _steps(b, pixel, number, count):
        given = b.load(at, b.vector(b.number(pixel), count * _LANES))
        for plane, to in enumerate(planes):
            b.store(b.converted(b.every(given, count, plane), pixel, number, kind), to)
    return b.finish()


def _to_pixels(name: str, _target: Target, pixel: str, number: str, count: int, divided: bool) -> str:
    b = Builder(name, _ROUNDING)
    kind, single = b.vector(b.number(number), _LANES), b.vector(b.number("f4"), _LANES)
    divisor = b.splat(b.load(b["*numbers"], kind.element), _LANES)
    offset, maximum = (b.splat(b.load(b.at(b["*numbers"], b.constant(at)), single.element), _LANES) for at in (8, 12))
    for at, planes in _steps(b, pixel, number, count):
        made = []
        for plane in planes:
            value = b.load(plane, kind)
            if divided:
                value = b.over(value, divisor)
            value = b.plus(b.single(value) if number != "f4" else value, offset)
            value = b.minimum("f4", b.maximum("f4", value, b.numbers(0, single)), maximum)
            made.append(b.narrowed(b.rounded_integer(value, 0), b.bytes_of(pixel)))
        for i, vector in enumerate(made if count == 1 else b.interleaved(made)):
            b.store(vector, b.at(at, b.constant(i * _LANES * b.bytes_of(pixel))))
    return b.finish()


def _steps(b: Builder, pixel: str, number: str, count: int) -> Iterator[tuple[Value, list[Value]]]:
    """Yield, within loops over rows and columns, where some pixels lie, and their numbers in each plane."""
    last = b.sub(b["columns"], b.constant(_LANES))
    with b.loop(b["rows"]) as y, b.loop(b.add(last, b.constant(_LANES)), step=_LANES) as i:
        x = b.smaller(i, last)  # the last ones may overlap those before them
        start = b.at(b["*planes"], b.add(b.mul(y, b["line"]), b.mul(x, b.bytes_of(number))))
        planes = [b.at(start, b.mul(b["plane"], plane)) for plane in range(count)]
        yield b.at(b["*pixels"], b.add(b.mul(y, b["row"]), b.mul(x, count * b.bytes_of(pixel)))), planes
