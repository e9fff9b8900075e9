"""The kernel that computes a chain of arithmetic element by element: each operand is read once, and one array written.

It walks three loops, of which any may have one turn. Along the innermost the result is contiguous, and an operand is
either contiguous too, or one number. The result may be one of the operands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..importing import importing
from .compiler import Kernel
from .exponential import sigmoid

if TYPE_CHECKING:
    from .builder import Builder
    from .numbers import Value
    from .target import Target

TOLD = 3
"""Operands whose places are told with each call; those of others, which are constants, stand in the job."""
LENGTHS = 3
"""Words of a job before those of its operands: turns of each loop, the outermost first."""
WORDS = 3
"""Words of an operand, and behind all operands of the result: its place, if it is a constant, and bytes from turn to
turn of the two outer loops."""
_UNROLLED = 4
"""Vectors of a turn of the innermost loop."""


class Operation(NamedTuple):
    """One operation of a chain.

    Parameters
    ----------
    name : str
        ``plus``, ``minus``, ``times`` or ``over``; ``at_least`` or ``at_most``, of a value, which NaN is and stays, and
        a bound, which is the result if both are zeros; ``raised`` or ``lowered``, likewise, where the value is the
        result then; ``leaky_relu``, of a value and its slope below 0; ``sigmoid``, of the first alone.
    first, second : int
        Of what: operands count from 0, and the results of the operations follow them.
    """

    name: str
    first: int
    second: int


class Chain(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    element : str
        ``f4`` or ``f8``.
    arrays : int
        How many of the operands, the first ones, are told with each call.
    single : tuple of bool
        For each operand, whether it is one number along the innermost loop.
    operations : tuple of Operation
        The last one's result is written.
    """

    element: str
    arrays: int
    single: tuple[bool, ...]
    operations: tuple[Operation, ...]


def chain_kernel(chain: Chain) -> Kernel:
    """Return the kernel: ``f(x, y, z, out, job, _)``."""
    return Kernel("chain", _build, (chain,), TOLD + 3, speed_level=1)


def _build(name: str, target: Target, chain: Chain) -> str:
    with importing:
        from .builder import Builder

    # Addresses come as integers: what is an address is promised to be the only one to its numbers.
    arrays = [f"array{i}" for i in range(TOLD)]
    b = Builder(name, " ".join([*arrays, "out", "*job", "unused"]), target)
    size, lanes = b.bytes_of(chain.element), target.vector_bytes // b.bytes_of(chain.element)
    rows, columns, n = (b.entry(b["*job"], b.constant(i)) for i in range(LENGTHS))
    block = _UNROLLED * lanes
    in_blocks, in_vectors = (b.mul(b.quotient(n, step), step) for step in (block, lanes))
    count = len(chain.single)
    with b.loop(rows) as i, b.loop(columns) as j:
        starts = []
        for operand in range(count + 1):
            first = LENGTHS + WORDS * operand
            place, outer, inner = (b.entry(b["*job"], b.constant(first + word)) for word in range(WORDS))
            base = b["out"] if operand == count else b[arrays[operand]] if operand < chain.arrays else place
            starts.append(b.address(b.add(base, b.add(b.mul(i, outer), b.mul(j, inner)))))
        *operands, out = starts
        numbers = {
            operand: b.load(operands[operand], b.number(chain.element))
            for operand, single in enumerate(chain.single)
            if single
        }
        # Blocks of vectors, then vectors, then number by number: a vector that overlaps the one before it would read
        # what has been written, where the result is an operand.
        for first, stop, width, vectors in (
            (b.constant(0), in_blocks, lanes, _UNROLLED),
            (in_blocks, in_vectors, lanes, 1),
            (in_vectors, n, 1, 1),
        ):
            kind = b.vector(b.number(chain.element), width)
            same = {operand: b.splat(number, width) for operand, number in numbers.items()}
            with b.loop(stop, first, width * vectors) as x:
                places = [b.mul(b.add(x, b.constant(v * width)), size) for v in range(vectors)]
                given = [
                    [same[k] if k in same else b.load(b.at(operand, at), kind) for k, operand in enumerate(operands)]
                    for at in places
                ]
                for at, values in zip(places, given, strict=True):
                    b.store(_computed(b, target, chain, values), b.at(out, at))
    return b.finish()


def _computed(b: Builder, target: Target, chain: Chain, values: list[Value]) -> Value:
    """Return the result of vectors of the operands."""
    for name, first, second in chain.operations:
        x, y = values[first], values[second]
        if name == "sigmoid":
            result = sigmoid(b, x, target.has_fma)
        elif name == "leaky_relu":
            result = b.select_at_least(x, b.zero(x.type), x, b.times(x, y))
        elif name in ("raised", "lowered"):
            result = (b.maximum if name == "raised" else b.minimum)(chain.element, x, y)
        else:
            result = getattr(b, name)(x, y)
        values = [*values, result]
    return values[-1]
