"""The kernels of copies into another dtype, and of memory that is filled, as IR.

They walk the nest of `gather_kernels`; a run is numbers that are contiguous in both arrays.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from .builder import Builder
from .compiler import Kernel
from .gather_kernels import ARGUMENTS, SIGNATURE, nest

if TYPE_CHECKING:
    from .numbers import Value
    from .target import Target

_FILLED = 32
"""Bytes that are filled at a time."""


@cache
def number_runs(source: str, to: str, offset: int, run: int, lanes: int) -> Kernel:
    """Return the kernel that writes runs of numbers as those of another dtype, plus an offset, so many at a time.

    Both are called as `Builder.number` calls them, and ``b2`` is bfloat16; integers wrap. A run has `run` numbers, or,
    if that is 0, any number that is not less than `lanes`.
    """
    return Kernel("copy_number_runs", _number_runs, (source, to, offset, run, lanes), ARGUMENTS)


def _number_runs(name: str, _target: Target, source: str, to: str, offset: int, run: int, lanes: int) -> str:
    b = Builder(name, SIGNATURE)
    read, written = b.bytes_of(source), b.bytes_of(to)
    kinds = b.vector(b.integer(read), lanes), b.vector(b.number(to), lanes)
    with nest(b) as (dst, src), b.loop(b["runs"]) as i:
        start, origin = b.at(dst, b.mul(i, b["length"])), b.at(src, b.entry(b["*table"], i))

        def write(first: Value) -> None:
            numbers = b.converted(b.load(b.at(origin, b.mul(first, read)), kinds[0]), source, to, kinds[1])
            b.store(b.moved_by(to, numbers, offset), b.at(start, b.mul(first, written)))

        # Vectors of a run; the last one may overlap the one before it.
        if run:
            for first in range(0, run, lanes):
                write(b.constant(min(first, run - lanes)))
        else:
            last = b.sub(b.div(b["length"], written), b.constant(lanes))
            with b.loop(b.add(last, b.constant(lanes)), step=lanes) as first:
                write(b.smaller(first, last))
    return b.finish()


@cache
def fill() -> Kernel:
    """Return the kernel that fills memory with 8 bytes, again and again; its job says how many bytes, and which."""
    return Kernel("fill", _fill, (), 3)


def _fill(name: str, _target: Target) -> str:
    b = Builder(name, "*to from *job")
    words = b.splat(b.entry(b["*job"], b.constant(1)), _FILLED // 8)
    with b.loop(b.entry(b["*job"], b.constant(0)), step=_FILLED) as at:
        b.store(words, b.at(b["*to"], at))
    return b.finish()
