"""The kernel that makes tiles of an image: windows that overlap, each transformed.

It is im2col with larger, strided patches: a row of the matrix holds a window of T pixels along each axis, as the
elements that a transform makes of them. Lanes are channels.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from ...engine.compiler import Kernel
from ...engine.numbers import element_bytes
from ...importing import importing
from .transform import Scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ...engine.target import Target
    from .transform import Transform


class IntoTiles(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of pixels and tiles, as `Builder.number` calls it.
    lanes : int
        VL: channels of a vector.
    channels : int
        Of a vector: fewer than lanes where a group has no more.
    transform : Transform
    """

    dtype: str
    lanes: int
    channels: int
    transform: Transform


def job_words(axes: int) -> list[str]:
    """Return the words of a job: for each tile a row of the table says where it begins, and what is inside the image.

    `pixel0`, … are bytes from one pixel to the next, `x_group` and `v_group` from one group to the next, `v_tile` from
    one tile to the next; `channels` are those of a group, in so many `vectors`, of which the last one ends with them.
    """
    return [
        "tiles",
        "groups",
        "vectors",
        "channels",
        "x_group",
        "v_group",
        "v_tile",
        *(f"pixel{i}" for i in range(axes)),
    ]


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

    sizes, size = spec.transform.sizes, int(spec.dtype[1])
    axes = len(sizes)
    b = Builder(name, "*x *zeros *flags *v *job *task", target)
    kind = b.vector(b.number(spec.dtype), spec.lanes)
    place = b["*x"].type
    pixels, scratch = b.room(place, math.prod(sizes)), scratch_of(b, kind, spec.transform)
    job = {word: b.entry(b["*job"], b.constant(i)) for i, word in enumerate(job_words(axes))}
    first, stop = (b.entry(b["*task"], b.constant(i)) for i in range(2))
    tiles = b.address(job["tiles"])
    channels = b.mul(job["channels"], size)
    with b.loop(stop, first) as tile:
        row = b.mul(tile, row_words(axes))
        words = [b.entry(tiles, b.add(row, b.constant(i))) for i in range(row_words(axes))]
        to = b.at(b["*v"], b.mul(b.sub(tile, first), job["v_tile"]))
        b.store(b.constant(0), b.at(b["*flags"], b.mul(b.sub(tile, first), 8)))
        with b.loop(job["groups"]) as group:
            _note(b, spec, job, words, b.at(b["*x"], b.mul(group, job["x_group"])), pixels)
            v = b.at(to, b.mul(group, job["v_group"]))

            with b.loop(job["vectors"]) as vector:
                at = b.mul(first_of(b, vector, spec.lanes, job["channels"], spec.channels), size)

                def load(number: Value, at: Value = at) -> Value:
                    pixel = b.load(b.at(pixels, b.mul(number, 8)), place, 8)
                    return b.load_first(b.at(pixel, at), kind, spec.channels)

                def store(number: Value, value: Value, at: Value = at, v: Value = v) -> None:
                    b.store_first(value, b.at(v, b.add(b.mul(channels, number), at)), spec.channels)

                spec.transform.into(b, load, store, scratch, target.has_fma)
    return b.finish()


def first_of(b: Builder, vector: Value, lanes: int, channels: Value, count: int) -> Value:
    """Return the first channel, or filter, of a vector: the last one ends with them, and repeats some of another."""
    return b.smaller(b.mul(vector, lanes), b.sub(channels, b.constant(count)))


def scratch_of(b: Builder, kind: Value, transform: Transform) -> Scratch:
    """Return the memory that a transform's code takes; called before any loop."""
    room, step = b.room(kind, max(1, transform.scratch)), element_bytes(kind) * kind.count

    def place(number: Value) -> Value:
        return b.at(room, b.mul(number, step))

    return Scratch(kind, lambda number: b.load(place(number), kind), lambda number, v: b.store(v, place(number)))


def _note(b: Builder, spec: IntoTiles, job: dict[str, Value], words: Sequence[Value], x: Value, pixels: Value) -> None:
    """Write the address of each pixel of a tile, in C order: that of zeros where it is outside the image."""
    inside, at, number = None, b.at(x, words[0]), b.constant(0)
    with ExitStack() as loops:
        for axis, size in enumerate(spec.transform.sizes):
            low, high = words[1 + 2 * axis], words[2 + 2 * axis]
            i = loops.enter_context(b.loop(b.constant(size)))
            there = b.inside(b.sub(i, low), b.sub(high, low))
            inside = there if inside is None else b.both(inside, there)
            at, number = b.at(at, b.mul(i, job[f"pixel{axis}"])), b.add(b.mul(number, size), i)
        b.store(b.choose(inside, at, b["*zeros"]), b.at(pixels, b.mul(number, 8)), 8)
