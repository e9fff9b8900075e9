"""The kernel that makes tiles of an image: windows that overlap, each transformed along all axes.

It is im2col with larger, strided patches: a row of the matrix holds a window of T pixels along each axis, as their
values at T points. Lanes are channels.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

from ...engine.compiler import Kernel
from ...importing import importing
from .linear import multiplied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ...engine.target import Target
    from .cook_toom import Matrix


class IntoTiles(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of pixels and tiles, as `Builder.number` calls it.
    lanes : int
        VL: channels of a vector.
    last : int
        Channels of a group that no whole vector holds.
    matrices : tuple of Matrix
        B of each spatial axis.
    """

    dtype: str
    lanes: int
    last: int
    matrices: tuple[Matrix, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """T of each axis."""
        return tuple(len(each) for each in self.matrices)


def job_words(axes: int) -> list[str]:
    """Return the words of a job: for each tile a row of the table says where it begins, and what is inside the image.

    `pixel0`, … are bytes from one pixel to the next, `x_group` and `v_group` from one group to the next, `v_tile` from
    one tile to the next; `vectors` are the whole ones of a group.
    """
    return ["tiles", "groups", "vectors", "x_group", "v_group", "v_tile", *(f"pixel{i}" for i in range(axes))]


def row_words(axes: int) -> int:
    """Return the words of a row: where the window begins, and which of its pixels are in the image along each axis."""
    return 1 + 2 * axes


def into_tiles(spec: IntoTiles) -> Kernel:
    """Return the kernel: ``f(image, zeros, flags, tiles, job, task)``.

    Zeros are as many as a group has channels; flags, a 64-bit integer a tile, are cleared for `out_of_tiles`; a task is
    the first tile of the table, and the one behind the last.
    """
    return Kernel("into_tiles", _build, (spec,), 6, speed_level=1)


def _build(name: str, target: Target, spec: IntoTiles) -> str:
    with importing:
        from ...engine.builder import Builder

    axes, size = len(spec.matrices), int(spec.dtype[1])
    b = Builder(name, "*x *zeros *flags *v *job *task", target)
    job = {word: b.entry(b["*job"], b.constant(i)) for i, word in enumerate(job_words(axes))}
    first, stop = (b.entry(b["*task"], b.constant(i)) for i in range(2))
    tiles = b.address(job["tiles"])
    with b.loop(stop, first) as tile:
        row = b.mul(tile, row_words(axes))
        words = [b.entry(tiles, b.add(row, b.constant(i))) for i in range(row_words(axes))]
        to = b.at(b["*v"], b.mul(b.sub(tile, first), job["v_tile"]))
        b.store(b.constant(0), b.at(b["*flags"], b.mul(b.sub(tile, first), 8)))
        places = _places(b, spec, job, words)
        with b.loop(job["groups"]) as group:
            x_group = b.mul(group, job["x_group"])
            pixels = [b.choose(inside, b.at(b["*x"], b.add(at, x_group)), b["*zeros"]) for inside, at in places]
            v = b.at(to, b.mul(group, job["v_group"]))
            with b.loop(job["vectors"]) as vector:
                _vector(b, target, spec, job, pixels, v, b.mul(vector, spec.lanes * size), spec.lanes)
            if spec.last:
                _vector(b, target, spec, job, pixels, v, b.mul(job["vectors"], spec.lanes * size), spec.last)
    return b.finish()


def _places(b: Builder, spec: IntoTiles, job: dict[str, Value], words: Sequence[Value]) -> list[tuple[Value, Value]]:
    """Return for each pixel of a tile whether it is inside the image, and where it lies from the image's start."""
    along = []
    for axis, size in enumerate(spec.sizes):
        low, high = words[1 + 2 * axis], words[2 + 2 * axis]
        numbers = [b.constant(i) for i in range(size)]
        inside = [b.inside(b.sub(i, low), b.sub(high, low)) for i in numbers]
        along.append([(inside[i], b.mul(job[f"pixel{axis}"], i)) for i in range(size)])
    found = []
    for pixel in itertools.product(*along):
        (inside, at), *others = pixel
        at = b.add(at, words[0])
        for other, more in others:
            inside, at = b.both(inside, other), b.add(at, more)
        found.append((inside, at))
    return found


def _vector(
    b: Builder,
    target: Target,
    spec: IntoTiles,
    job: dict[str, Value],
    pixels: Sequence[Value],
    v: Value,
    at: Value,
    count: int,
) -> None:
    """Transform a vector of channels of a tile."""
    size, kind = int(spec.dtype[1]), b.vector(b.number(spec.dtype), spec.lanes)
    values = [b.load_first(b.at(each, at), kind, count) for each in pixels]
    channels = b.add(b.mul(job["vectors"], spec.lanes * size), b.constant(spec.last * size))
    for number, value in enumerate(transformed(b, spec.matrices, values, target.has_fma)):
        b.store_first(value, b.at(v, b.add(b.mul(channels, number), at)), count)


def transformed(b: Builder, matrices: Sequence[Matrix], values: list[Value], fused: bool) -> list[Value]:
    """Return values in C order of several axes, each axis multiplied by its matrix, the last one first."""
    sizes = [len(matrix[0]) for matrix in matrices]
    for axis in reversed(range(len(matrices))):
        inner, length = math.prod(sizes[axis + 1 :]), sizes[axis]
        outer, wide = math.prod(sizes[:axis]), len(matrices[axis])
        found: list[Value] = [None] * (outer * wide * inner)
        for o, i in itertools.product(range(outer), range(inner)):
            column = [values[(o * length + k) * inner + i] for k in range(length)]
            for k, value in enumerate(multiplied(b, matrices[axis], column, fused)):
                found[(o * wide + k) * inner + i] = value
        values, sizes[axis] = found, wide
    return values
