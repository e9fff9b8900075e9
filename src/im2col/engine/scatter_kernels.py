"""The kernels of strided sums, as IR.

The image is computed line by line along the axis that lies along the lanes. Of a line, every s-th pixel belongs to one
*phase*, where s is the window's stride, so that neighbouring pixels of a phase belong to neighbouring positions. A
phase is the sum of pieces of the matrix: one for each tap along that axis, which shifts it, and each combination of
taps along the other axes that meets the line. Pixels stay in registers until the last piece has been added, and are
stored once. Of the taps only those are walked that meet these pixels; their shifts grow in equal steps, so which ones
these are is a division.

Where neighbouring positions lie side by side in the matrix, they are added as vectors. Where they lie apart, they are
added one by one, for several pixels at a time: a gather takes longer. Two to four phases are shuffled into whole
vectors of their line; pixels of others are stored one by one. A complex pixel is two numbers side by side.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from .builder import Builder
from .compiler import Kernel
from .scatter_lines import Line
from .scatter_plan import VECTORS

if TYPE_CHECKING:
    from .scatter_lines import Element
    from .target import Target

LINE_COLUMNS = 4
"""A row of the table ``lines``: the offsets in bytes of its first pixel, and of what its pieces are counted from, and
its first and last piece (exclusive)."""
JOB = [
    *("lines", "pieces", "phases", "planes", "image_plane", "matrix_plane", "line_count", "phase_count", "width"),
    *("block", "together", "filled", "tap_step", "shift_step", "backwards", "positions", "pixel_step", "value_step"),
]
"""The words of what a kernel is to do, tables by their addresses.

``width`` is that of the longest phase; ``block`` is how many pixels of each phase are made before the next line's;
``together`` is how many pixels of a line lie side by side: all or, as it were, none; ``filled`` is 1 where they must be
0 before, since some have no phase, else 0; ``backwards`` is 1 where taps are added from the last to the first, else
0."""
_SIGNATURE = "*image *matrix *job"


@cache
def sum_lines(element: Element, dense_values: bool, apart: int, inside: bool) -> Kernel:
    """Return the kernel that sums lines.

    Parameters
    ----------
    element : Element
    dense_values : bool
        Whether neighbouring positions lie side by side in the matrix.
    apart : int
        Where values are dense and the pixels of a line lie side by side: how many phases it has, if that is 1 or one of
        `INTERLEAVED`. Else 0.
    inside : bool
        Whether the taps along the line change faster than those along all other axes, or slower.
    """
    to = {0: "strided", 1: "dense"}.get(apart, f"every_{apart}")
    name = f"sum_lines_{element.name}_{'dense' if dense_values else 'strided'}_to_{to}"
    parameters = element, dense_values, apart, inside
    return Kernel(
        f"{name}{'_taps_inside' if inside else ''}", _sum_lines, parameters, len(_SIGNATURE.split()), speed_level=1
    )


def _sum_lines(name: str, target: Target, element: Element, dense_values: bool, apart: int, inside: bool) -> str:
    b = Builder(name, _SIGNATURE, target)
    job = {word: b.entry(b["*job"], b.constant(i)) for i, word in enumerate(JOB)}
    job |= {word: b.address(job[word]) for word in JOB[:3]}
    lanes = max(2, target.vector_bytes // (b.bytes_of(element.total) * element.parts))
    vector = b.vector(b.number(element.total), lanes * element.parts)
    # Zeros that the compiler knows would be filled by a call of the C library.
    [zeros] = b.settled([b.zero(vector)], target.register)
    room = b.room(vector, VECTORS * max(1, apart)) if dense_values and apart != 1 else None
    # Where a patch is a row of the matrix, all planes of some pixels share its cache lines: planes are inside.
    one = b.constant(1)
    outside, within = (job["planes"], one) if dense_values else (one, job["planes"])
    with b.loop(outside) as first, b.loop(job["width"], step=job["block"]) as x, b.loop(job["line_count"]) as number:
        entry = b.mul(number, LINE_COLUMNS)
        offset, origin, start, stop = (b.entry(job["lines"], b.add(entry, b.constant(i))) for i in range(LINE_COLUMNS))
        with b.loop(within) as second:
            plane = first if dense_values else second
            pixels = b.at(b.at(b["*image"], b.mul(plane, job["image_plane"])), offset)
            values = b.at(b.at(b["*matrix"], b.mul(plane, job["matrix_plane"])), origin)
            line = Line(b, job, element, vector, dense_values, inside, pixels, values, start, stop, room)
            end = b.smaller(b.add(x, job["block"]), job["width"])
            phases = line.fill(x, end, zeros)
            if apart > 1:
                # All of them at once, or none.
                line.interleave(x, b.smaller(b.add(x, b.mul(phases, job["block"])), end), apart)
            else:
                with b.loop(phases) as phase:
                    line.make(line.phase(phase), x, end, apart)
    return b.finish()
