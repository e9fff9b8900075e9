"""The kernels of strided copies, as IR.

All of them walk the same nest: `OUTER_LOOPS` loops over both arrays, then the runs of a table. Runs of one table lie in
the destination side by side; in the source each starts at its own offset.

================  =========================================================================================
kernel            a run is
================  =========================================================================================
``short_runs``    up to `SHORT_RUN_BYTES` bytes, a constant of the kernel, contiguous in both arrays
``long_runs``     more bytes than a vector, contiguous in both arrays
``strided_runs``  elements that are contiguous in the destination and a step apart in the source
``tiles``         one element; a square of them, with an axis along which the source is contiguous, is transposed
``planes``        the same where each element of a run lies in a plane of its own, walked plane by plane
``spread_tiles``  the same, where what is contiguous in the source lies in the destination where a second table says
================  =========================================================================================
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from .builder import Builder
from .compiler import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .numbers import Value
    from .target import Target

OUTER_LOOPS = 5
"""Loops of a kernel around its table: batch, two or three output axes, and a block of channels."""
SHORT_RUN_BYTES = 64
SIGNATURE = f"*dst *src {' '.join(f'n{i}' for i in range(OUTER_LOOPS))} *steps runs *table length step across apart"
ARGUMENTS = len(SIGNATURE.split())
_RUN_VECTOR_BYTES, _RUN_UNROLL = 32, 4
"""Of long runs: on large images this is 1.4 times as fast as one vector of 64 bytes at a time."""
_UNROLLED_STEPS = (2,)
"""Source steps, in elements, that get a kernel of their own: LLVM turns it into wide loads and shuffles."""


@cache
def short_runs(run: int) -> Kernel:
    """Return the kernel that copies runs of `run` bytes, a constant."""
    return Kernel(f"copy_short_runs_{run}", _short_runs, (run,), ARGUMENTS)


@cache
def long_runs() -> Kernel:
    """Return the kernel that copies runs of any number of bytes above `SHORT_RUN_BYTES`."""
    return Kernel("copy_long_runs", _long_runs, (), ARGUMENTS)


def strided_runs(itemsize: int, step: int) -> Kernel:
    """Return the kernel that copies runs of elements of `itemsize` bytes from every `step` bytes of the source."""
    elements = next((u for u in _UNROLLED_STEPS if u * itemsize == step), 0)
    suffix = f"_by_{elements}" if elements else ""
    return Kernel(f"copy_strided_runs_{itemsize}{suffix}", _strided_runs, (itemsize, elements), ARGUMENTS)


@cache
def tiles(itemsize: int, side: int) -> Kernel:
    """Return the kernel that transposes tiles of `side` × `side` elements of `itemsize` bytes in registers."""
    return Kernel(f"copy_tiles_{itemsize}_{side}", _tiles, (itemsize, side, False), ARGUMENTS)


@cache
def planes(itemsize: int, side: int) -> Kernel:
    """Return the kernel that transposes such tiles, two side by side, all that a few planes have before the next."""
    return Kernel(f"copy_planes_{itemsize}_{side}", _planes, (itemsize, side), ARGUMENTS)


@cache
def spread_tiles(itemsize: int, side: int) -> Kernel:
    """Return the kernel that transposes such tiles when their columns lie in the destination where a table says."""
    return Kernel(f"copy_spread_tiles_{itemsize}_{side}", _tiles, (itemsize, side, True), ARGUMENTS)


@contextmanager
def nest(b: Builder) -> Iterator[tuple[Any, Any]]:
    """Write the outer loops; yields the addresses at which the table's runs start in both arrays."""
    dst, src = b["*dst"], b["*src"]
    with ExitStack() as loops:
        for i in range(OUTER_LOOPS):
            counter = loops.enter_context(b.loop(b[f"n{i}"]))
            dst = b.at(dst, b.mul(counter, b.entry(b["*steps"], b.constant(i))))
            src = b.at(src, b.mul(counter, b.entry(b["*steps"], b.constant(OUTER_LOOPS + i))))
        yield dst, src


def _short_runs(name: str, _target: Target, run: int) -> str:
    b = Builder(name, SIGNATURE)
    with nest(b) as (dst, src):
        last = b.sub(b["runs"], b.constant(1))
        with b.loop(last) as i:
            # The store is as wide as the next power of two; what it writes too much, the next run writes over.
            pixels = b.load_bytes(b.at(src, b.entry(b["*table"], i)), run)
            b.store(pixels, b.at(dst, b.mul(i, run)))
        from_last, to_last = b.at(src, b.entry(b["*table"], last)), b.at(dst, b.mul(last, run))
        for offset, width in pieces(run):
            at = b.constant(offset)
            b.store(b.load(b.at(from_last, at), b.byte_vector(width)), b.at(to_last, at))
    return b.finish()


def pieces(run: int) -> list[tuple[int, int]]:
    """Cover a run with loads of one power of two, the last of which may overlap the one before: (offset, bytes)."""
    width = 1 << (run.bit_length() - 1)
    return [(0, width)] if width == run else [(0, width), (run - width, width)]


def _long_runs(name: str, target: Target) -> str:
    b = Builder(name, SIGNATURE)
    width = min(target.vector_bytes, _RUN_VECTOR_BYTES)
    vector = b.byte_vector(width)
    with nest(b) as (dst, src), b.loop(b["runs"]) as i:
        to, origin = b.at(dst, b.mul(i, b["length"])), b.at(src, b.entry(b["*table"], i))
        block = _RUN_UNROLL * width
        # Loop over the bytes of a run, many vectors at a time. The last ones overlap those before them instead of
        # passing the end; a run of more than two vectors and less than a block is covered from both of its ends.
        with b.loop(b.sub(b["length"], b.constant(block)), step=block) as at:
            _copy_vectors(b, to, origin, [b.add(at, b.constant(k * width)) for k in range(_RUN_UNROLL)], vector)
        tail = b.larger(b.sub(b["length"], b.constant(block)), b.constant(0))
        first = [b.add(tail, b.constant(k * width)) for k in range(_RUN_UNROLL // 2)]
        final = [b.sub(b["length"], b.constant(k * width)) for k in range(_RUN_UNROLL // 2, 0, -1)]
        _copy_vectors(b, to, origin, [*first, *final], vector)
    return b.finish()


def _copy_vectors(b: Builder, to: Any, origin: Any, places: list[Any], vector: Any) -> None:
    values = [b.load(b.at(origin, place), vector) for place in places]
    for value, place in zip(values, places, strict=True):
        b.store(value, b.at(to, place))


def _strided_runs(name: str, _target: Target, itemsize: int, elements: int) -> str:
    b = Builder(name, SIGNATURE)
    step = b.constant(elements * itemsize) if elements else b["step"]
    with nest(b) as (dst, src), b.loop(b["runs"]) as i:
        to, origin = b.at(dst, b.mul(i, b["length"])), b.at(src, b.entry(b["*table"], i))
        with b.loop(b.div(b["length"], itemsize)) as j:
            pixel = b.load(b.at(origin, b.mul(j, step)), b.integer(itemsize))
            b.store(pixel, b.at(to, b.mul(j, itemsize)))
    return b.finish()


def _tiles(name: str, _target: Target, itemsize: int, side: int, spread: bool) -> str:
    """Write the kernel of `tiles`, or of `spread_tiles`.

    The table holds an offset for each element that is contiguous in the destination. ``across`` elements are contiguous
    in the source and ``apart`` bytes from each other in the destination; for spread tiles ``apart`` is the address of
    their offsets there. Both counts are at least a tile's side; a last tile that would pass the end overlaps the one
    before it.
    """
    b = Builder(name, SIGNATURE)
    last_entry, last_across = b.sub(b["runs"], b.constant(side)), b.sub(b["across"], b.constant(side))
    # Two loops over tiles: along the source's contiguous axis (j), then along the destination's (i), in elements.
    with nest(b) as (dst, src), b.loop(b["across"], step=side) as far:
        j = b.smaller(far, last_across)
        origin = b.at(src, b.mul(j, itemsize))
        if spread:
            to, places = dst, [b.entry(b.address(b["apart"]), b.add(j, b.constant(k))) for k in range(side)]
        else:
            to, places = b.at(dst, b.mul(j, b["apart"])), _evenly(b, side)
        with b.loop(b["runs"], step=side) as near:
            _transpose(b, to, places, origin, b.smaller(near, last_entry), itemsize)
    return b.finish()


def _planes(name: str, _target: Target, itemsize: int, side: int) -> str:
    """Write the kernel of `planes`: that of `tiles`, but for the order, with at least twice as many runs.

    Lines of the source are read as they follow one another, by few planes at a time, which prefetchers notice; lines of
    the destination are filled whole, if they begin where its runs do.
    """
    b = Builder(name, SIGNATURE)
    last_pair, last_across = b.sub(b["runs"], b.constant(2 * side)), b.sub(b["across"], b.constant(side))
    with nest(b) as (dst, src), b.loop(b["runs"], step=2 * side) as near:
        first = b.smaller(near, last_pair)
        second = b.add(first, b.constant(side))
        with b.loop(b["across"], step=side) as far:
            j = b.smaller(far, last_across)
            to, origin = b.at(dst, b.mul(j, b["apart"])), b.at(src, b.mul(j, itemsize))
            _transpose(b, to, _evenly(b, side), origin, first, itemsize)
            _transpose(b, to, _evenly(b, side), origin, second, itemsize)
    return b.finish()


def _evenly(b: Builder, side: int) -> list[Value]:
    """Return where the columns of a tile lie, ``apart`` from each other."""
    return [b.mul(b["apart"], k) for k in range(side)]


def _transpose(b: Builder, to: Value, places: list[Value], origin: Value, entry: Value, itemsize: int) -> None:
    """Transpose a tile: from `origin` on as many elements as there are places, of as many runs from `entry` on."""
    row = b.vector(b.integer(itemsize), len(places))
    rows = [b.load(b.at(origin, b.entry(b["*table"], b.add(entry, b.constant(k)))), row) for k in range(len(places))]
    to = b.at(to, b.mul(entry, itemsize))
    for place, column in zip(places, b.transpose(rows), strict=True):
        b.store(column, b.at(to, place))
