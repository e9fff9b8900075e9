"""The kernels of strided sums, as IR.

A *box* is a rectangular part of an image plane and the part of the matrix, of the same shape, that is added to it. A
kernel walks bands, planes, and the boxes of a band; a box is a row of five integers in a table: where it starts in the
image and in the matrix, and its three sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from .builder import Builder
from .compiler import Kernel

if TYPE_CHECKING:
    from .target import Target

BOX_COLUMNS = 5
"""Image offset, matrix offset, three sides: the last is the innermost."""
_SIGNATURE = "*image *matrix bands planes boxes image_plane matrix_plane *table *steps"
MOST_AXES = 3
"""Axes of a box. ``steps`` holds their steps through the image, then those through the matrix, in bytes."""


@dataclass(frozen=True)
class Element:
    """What is added: the type of sums in the image, and of values in the matrix.

    Parameters
    ----------
    total, value : str
        ``f4`` or ``f8`` for floats, ``i1`` to ``i8`` for integers that keep their sign when they grow, ``u1`` to ``u8``
        for those that have none.
    lanes : int
        Numbers of an element: 2 for complex ones.
    """

    total: str
    value: str
    lanes: int = 1


@cache
def add_boxes(element: Element, dense: bool) -> Kernel:
    """Return the kernel that adds boxes.

    Parameters
    ----------
    element : Element
    dense : bool
        Whether a box's innermost axis is contiguous in image and matrix.
    """
    name = f"add_{element.value}_to_{element.total}" + f"x{element.lanes}" * (element.lanes > 1)
    kind = "dense" if dense else "strided"
    return Kernel(f"{name}_{kind}", _add_boxes, (element, dense), len(_SIGNATURE.split()))


def _add_boxes(name: str, target: Target, element: Element, dense: bool) -> str:
    b = Builder(name, _SIGNATURE)
    add_run = _dense_run if dense else _strided_run
    with b.loop(b["bands"]) as band, b.loop(b["planes"]) as plane, b.loop(b["boxes"]) as box:
        row = b.mul(b.add(b.mul(band, b["boxes"]), box), BOX_COLUMNS)
        to, origin, n0, n1, n2 = (b.entry(b["*table"], b.add(row, b.int(i))) for i in range(BOX_COLUMNS))
        steps = [b.entry(b["*steps"], b.int(i)) for i in range(2 * MOST_AXES)]
        image = b.at(b.at(b["*image"], b.mul(plane, b["image_plane"])), to)
        matrix = b.at(b.at(b["*matrix"], b.mul(plane, b["matrix_plane"])), origin)
        with b.loop(n0) as i0, b.loop(n1) as i1:
            pixels = b.at(b.at(image, b.mul(i0, steps[0])), b.mul(i1, steps[1]))
            values = b.at(b.at(matrix, b.mul(i0, steps[3])), b.mul(i1, steps[4]))
            add_run(b, target, element, pixels, values, n2, steps)
    return b.finish()


def _dense_run(
    b: Builder, target: Target, element: Element, pixels: Any, values: Any, n: Any, _steps: list[Any]
) -> None:
    """Add n contiguous elements, a vector at a time, the rest under a mask."""
    size, value_size = int(element.total[1]), int(element.value[1])
    lanes = target.vector_bytes // size
    count = b.mul(n, element.lanes)
    wide, narrow = b.vector(b.number(element.total), lanes), b.vector(b.number(element.value), lanes)
    whole = b.sub(count, b.remainder(count, lanes))
    with b.loop(whole, step=lanes) as i:
        pixel = b.at(pixels, b.mul(i, size))
        grown = b.grow(b.load(b.at(values, b.mul(i, value_size)), narrow), element.value, element.total, wide)
        b.store(b.sum(element.total, b.load(pixel, wide), grown), pixel)
    with b.when_less(whole, count):
        mask = b.first_lanes(b.sub(count, whole), lanes)
        pixel = b.at(pixels, b.mul(whole, size))
        value = b.masked_load(b.at(values, b.mul(whole, value_size)), narrow, mask)
        grown = b.grow(value, element.value, element.total, wide)
        b.masked_store(b.sum(element.total, b.masked_load(pixel, wide, mask), grown), pixel, mask)


def _strided_run(
    b: Builder, _target: Target, element: Element, pixels: Any, values: Any, n: Any, steps: list[Any]
) -> None:
    """Add n elements, one at a time."""
    wide, narrow = b.number(element.total), b.number(element.value)
    with b.loop(n) as i:
        first_pixel, first_value = b.at(pixels, b.mul(i, steps[2])), b.at(values, b.mul(i, steps[5]))
        for lane in range(element.lanes):
            pixel = b.at(first_pixel, b.int(lane * int(element.total[1])))
            value = b.load(b.at(first_value, b.int(lane * int(element.value[1]))), narrow)
            grown = b.grow(value, element.value, element.total, wide)
            b.store(b.sum(element.total, b.load(pixel, wide), grown), pixel)
