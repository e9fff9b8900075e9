"""Several kernel calls as one: which arrays they are about, where in them, and in which order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col.engine.builder import Builder
from im2col.engine.compiler import Kernel, required
from im2col.engine.gather_plan import plan_copy
from im2col.engine.sequence import ARRAYS, Round, Step, Steps, address_of

from .kit.outcomes import require

if TYPE_CHECKING:
    from im2col.engine.target import Target

require("llvmlite")


def _write_added(name: str, _target: Target) -> str:
    """Write a kernel that adds two integers and two arguments to a third integer, and needs no fourth address."""
    b = Builder(name, "a b to unused n m")
    first, second, to = (b.address(b[each]) for each in ("a", "b", "to"))
    numbers = b.add(b.load(first, b.i64), b.load(second, b.i64))
    b.store(b.add(b.load(to, b.i64), b.add(numbers, b.add(b["n"], b["m"]))), to)
    return b.finish()


def _write_doubled(name: str, _target: Target) -> str:
    """Write a kernel that overwrites an integer with the double of another one and an argument."""
    b = Builder(name, "to source n")
    to, source = (b.address(b[each]) for each in ("to", "source"))
    number = b.load(source, b.i64)
    b.store(b.add(b.add(number, number), b["n"]), to)
    return b.finish()


ADDED = Kernel("sequence_test_added", _write_added, (), 6)
DOUBLED = Kernel("sequence_test_doubled", _write_doubled, (), 3)


def arrays() -> list[np.ndarray[Any, Any]]:
    """Return arrays of four integers, of which no two are alike."""
    return [np.arange(4) + 10**i for i in range(ARRAYS)]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3),
        np.zeros(()),
        np.zeros(0),
        np.zeros((4, 5), np.int8)[1:, ::-2],
        np.zeros(3, np.complex64)[::-1],
        np.broadcast_to(np.zeros(1), (3, 3)),
        np.asfortranarray(np.zeros((2, 3))).T,
    ],
    ids=lambda array: f"{array.dtype} {array.shape} {array.strides}",
)
def test_arrays_are_found_by_their_identity(array: np.ndarray[Any, Any]) -> None:
    """What stands in the object is what NumPy says; the kernel that runs the others reads it there, too."""
    assert address_of(array) == array.ctypes.data


@pytest.mark.parametrize("run", ["run", "run_ids", "run_at"])
@pytest.mark.parametrize("shift", range(ARRAYS))
def test_each_step_has_its_arrays_and_offsets(shift: int, run: str) -> None:
    """Every array in every place, by itself, by its identity or by its address; copies come first, and sums last."""
    a, b, to, fourth, source, room = ((i + shift) % ARRAYS for i in range(ARRAYS))
    given = arrays()
    wanted = [each.copy() for each in given]
    (copy,) = plan_copy((2,), (8,), (8,), 8)
    copies = [Step(required(copy.kernel), ((room, 8), (source, 16)), copy.arguments)]
    add = partial(Step, required(ADDED))
    calls = [
        add(((a, 0), (room, 8), (to, 24), (fourth, 0)), (5, -7)),
        add(((to, 24), (b, 16), (to, 0), (b, 0)), (0, 1)),
    ]
    sums = [Step(required(DOUBLED), ((room, 0), (to, 24)), (9,))]
    steps = Steps([Round(copies, calls[:1], sums), Round(), Round(calls=calls[1:])], None, copy)
    match run:
        case "run":
            steps.run(*given)
        case "run_ids":
            steps.run_ids(*map(id, given))
        case _:
            steps.run_at(*(each.ctypes.data for each in given))
    wanted[room][1:3] = wanted[source][2:4]
    wanted[to][3] += wanted[a][0] + wanted[room][1] + 5 - 7
    wanted[room][0] = 2 * wanted[to][3] + 9
    wanted[to][0] += wanted[to][3] + wanted[b][2] + 0 + 1
    assert [each.tolist() for each in given] == [each.tolist() for each in wanted]


def test_calls_take_turns() -> None:
    """All calls of a round run each turn, their last argument moved on; copies and sums run once."""
    given = arrays()
    wanted = [each.copy() for each in given]
    add = partial(Step, required(ADDED))
    calls = [add(((0, 0), (1, 0), (2, 0), (0, 0)), (5, 1)), add(((2, 0), (1, 8), (3, 0), (0, 0)), (0, -2))]
    sums = [Step(required(DOUBLED), ((5, 0), (3, 0)), (1,))]
    Steps([Round((), calls, sums, 4, 3)], None, ()).run(*given)
    for turn in range(4):
        wanted[2][0] += wanted[0][0] + wanted[1][0] + 5 + 1 + 3 * turn
        wanted[3][0] += wanted[2][0] + wanted[1][1] - 2 + 3 * turn
    wanted[5][0] = 2 * wanted[3][0] + 1
    assert [each.tolist() for each in given] == [each.tolist() for each in wanted]


def test_steps_of_nothing_do_nothing() -> None:
    """No copy and no call."""
    given = arrays()
    Steps([Round()] * 2, None, ()).run(*given)
    assert [each.tolist() for each in given] == [each.tolist() for each in arrays()]
