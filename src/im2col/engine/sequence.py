"""Several kernel calls as one: Python calls one kernel, which calls the others from a list in memory.

A call from Python costs as much as a thousand products. And where an array lies is asked there, too: NumPy takes longer
to tell its address than to make it.
"""

from __future__ import annotations

import ctypes
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..importing import importing
from .compiler import Kernel, required

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .builder import Builder
    from .numbers import Value
    from .target import Target

DATA = object.__basicsize__
"""Bytes from a Python object's start to the address of its numbers, if it is an array: behind what every object begins
with, as NumPy promises to all that is compiled against it (`PyArrayObject_fields`)."""
ARRAYS = 6
"""Arrays that the calls of a list may be about."""
COPY, CALL, SUM = (2, 12), (4, 2), (2, 1)
"""Addresses of a kernel, and other arguments behind them: of one that copies, one that computes, one that sums."""


def address_of(array: NDArray[Any]) -> int:
    """Return where an array's numbers begin: what ``array.ctypes.data`` says, in a seventh of the time.

    Examples
    --------
    >>> array = np.zeros(3)
    >>> address_of(array) == array.ctypes.data
    True
    """
    return ctypes.c_size_t.from_address(id(array) + DATA).value


class Step(NamedTuple):
    """One call of a kernel.

    Parameters
    ----------
    function : callable
        As `compiler.load` gives it.
    addresses : sequence of (int, int)
        The arrays, by their numbers, and bytes from their starts.
    rest : sequence of int
        The arguments behind them.
    """

    function: Callable[..., None]
    addresses: Sequence[tuple[int, int]]
    rest: Sequence[int]


class Round(NamedTuple):
    """Steps that run one after another: those that copy, those that compute, those that sum.

    Parameters
    ----------
    copies, calls, sums : sequence of Step
        With `COPY`, `CALL` and `SUM` arguments.
    turns, advance : int
        How often the calls run, all of them each time; the last argument of each is so much more in the next turn.
    """

    copies: Sequence[Step] = ()
    calls: Sequence[Step] = ()
    sums: Sequence[Step] = ()
    turns: int = 1
    advance: int = 0


class Steps:
    """Calls of kernels, one after another, in rounds.

    Parameters
    ----------
    rounds : sequence of Round
    target : Target or None
        The CPU that they are for.
    keep : object
        What arguments are the addresses of.

    Raises
    ------
    EngineError
        If the kernel that calls them cannot be compiled, after the engine's warning.

    Examples
    --------
    >>> Steps([], None, ()).run(*[np.zeros(1)] * ARRAYS)
    """

    def __init__(self, rounds: Sequence[Round], target: Target | None, keep: object) -> None:
        words: list[Any] = [len(rounds)]
        for each in rounds:
            words += (len(each.copies), len(each.calls), len(each.sums), each.turns, each.advance)
            for step in (*each.copies, *each.calls, *each.sums):
                function: Any = step.function
                words.append(ctypes.cast(function, ctypes.c_void_p).value)
                words += (*(n for at in step.addresses for n in at), *step.rest)
        self._list, self._keep = np.array(words, np.int64), keep
        self.address = self._list.ctypes.data
        self.run_ids = partial(required(SEQUENCE, target), self.address)
        """Run them for arrays of which the identities are given, ``id(array)``: nothing is asked of them in Python."""

    def run(self, *arrays: NDArray[Any]) -> None:
        """Run them for `ARRAYS` arrays, whose numbers count from 0."""
        self.run_ids(*map(id, arrays))

    def run_at(self, *addresses: int) -> None:
        """Run them for arrays that begin at `ARRAYS` addresses."""
        starts, ids = identities(addresses)
        self.run_ids(*ids)
        del starts


def identities(addresses: Sequence[int]) -> tuple[NDArray[np.int64], Sequence[int]]:
    """Return where objects would be that are arrays at these addresses, and what must live as long as they are used."""
    starts = np.array(addresses, np.int64)
    first = starts.ctypes.data - DATA
    return starts, range(first, first + starts.nbytes, 8)


def _sequence(name: str, _target: Target, arrays: int, data: int) -> str:
    with importing:
        from .builder import Builder

    names = [f"array{i}" for i in range(arrays)]
    b = Builder(name, " ".join(["*list", *names]))
    starts = [b.load(b.at(b.address(b[each]), b.constant(data)), b.i64) for each in names]
    rounds, first = b.entry(b["*list"], b.constant(0)), b.at(b["*list"], b.constant(8))
    with b.accumulate(b.constant(0), rounds, [first]) as state:
        (numbers,) = state.values
        at = b.at(numbers, b.constant(8 * len(Round._fields)))
        copies, calls, sums, turns, advance = (b.entry(numbers, b.constant(i)) for i in range(len(Round._fields)))
        at = _all(b, at, copies, COPY, starts)
        with b.loop(turns) as turn:
            _all(b, at, calls, CALL, starts, b.mul(turn, advance))
        at = b.at(at, b.mul(calls, _row(CALL)))
        at = _all(b, at, sums, SUM, starts)
        state.values = [at]
    return b.finish()


def _row(arguments: tuple[int, int]) -> int:
    """Return the bytes of a step in the list."""
    addresses, others = arguments
    return 8 * (1 + 2 * addresses + others)


def _all(
    b: Builder, at: Value, count: Value, arguments: tuple[int, int], starts: list[Value], more: Value | None = None
) -> Value:
    """Call so many steps that stand at an address, their last argument increased, and return where others follow."""
    addresses, row = arguments[0], _row(arguments)
    with b.loop(count) as i:
        step = b.at(at, b.mul(i, row))
        function, *words = [b.entry(step, b.constant(k)) for k in range(row // 8)]
        where, rest = words[: 2 * addresses], words[2 * addresses :]
        if more is not None:
            rest[-1] = b.add(rest[-1], more)
        given = []
        for array, offset in zip(where[::2], where[1::2], strict=True):
            start = starts[0]
            for k in range(1, len(starts)):
                start = b.choose(b.inside(array, b.constant(k)), start, starts[k])
            given.append(b.add(start, offset))
        b.call(b.address(function), [*given, *rest])
    return b.at(at, b.mul(count, row))


SEQUENCE = Kernel("sequence", _sequence, (ARRAYS, DATA), 1 + ARRAYS, 1)
"""Who runs kernels by `Steps` needs this one, too."""
