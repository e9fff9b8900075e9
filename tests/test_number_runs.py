"""Strided copies into another dtype, as steps of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col.engine.compiler import load
from im2col.engine.copies import Copies, Move, filling
from im2col.engine.number_kernels import number_runs
from im2col.engine.sequence import ARRAYS, Round, Steps

from .kit.outcomes import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

require("llvmlite")

PAIRS = [
    *(("u1", to) for to in ("i2", "u2", "i4", "i8", "f4", "u1", "i1")),
    *(("i1", to) for to in ("i2", "i4", "i8", "f4", "u1")),
    *(("i2", to) for to in ("i4", "f4")),
    *(("?", to) for to in ("u1", "i2", "f4")),
]


def run(copies: Copies, to: NDArray[Any], source: NDArray[Any]) -> None:
    """Run copies from the second array into the first."""
    Steps([Round(copies.steps)], None, copies).run(to, *[source] * (ARRAYS - 1))


@pytest.mark.parametrize(("given", "to"), PAIRS)
@pytest.mark.parametrize("offset", [0, -7, 128])
@pytest.mark.parametrize("third", range(3))
def test_numbers_become_others(third: int, given: str, to: str, offset: int) -> None:
    """All numbers of a byte, in runs of any length, into parts of rows: integers wrap, and nothing else is written."""
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5, 7, 8, 9, 15, 17, 31, 33, 64, 65, 130)[third::3]:
        whole = rng.integers(0, 2 if given == "?" else 256, (2, 3, n + 3)).astype(given)
        x = whole[:, :, 1 : n + 1]
        y = np.full((2, 3, n + 5), 77, to)
        with np.errstate(all="ignore"):
            expected = (x.astype(np.int64) + offset).astype(to)
        copies = Copies()
        what = Move(x.shape, y.strides, x.strides, y.dtype, x.dtype, offset, scattered=True)
        assert copies.move(what, (0, 2 * y.itemsize), (1, x.itemsize))
        run(copies, y, whole)
        np.testing.assert_array_equal(y[:, :, 2 : n + 2], expected, strict=True)
        assert (y[:, :, :2] == 77).all()
        assert (y[:, :, n + 2 :] == 77).all()


def test_bfloat16_becomes_float32() -> None:
    """Every bit pattern: the upper half of float32's."""
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x, y = np.arange(1 << 16).astype(np.uint16).view(bfloat16), np.empty(1 << 16, np.float32)
    copies = Copies()
    assert copies.add((0, y, y), (1, x, x))
    run(copies, y, x)
    np.testing.assert_array_equal(y.view(np.uint32), np.arange(1 << 16, dtype=np.uint32) << 16)


def test_bfloat16_may_stay_what_it_is() -> None:
    """The kernel compiles for runs of any length, also number by number: nothing is converted then."""
    for run_length in (1, 3, 17, 64):
        assert load(number_runs("b2", "b2", 0, run_length, 1)) is not None


def test_integers_that_do_not_lie_side_by_side() -> None:
    """They are copied one by one, where that is asked for."""
    x, y = np.arange(12, dtype=np.int8).reshape(3, 4), np.zeros((4, 6), np.int8)
    copies = Copies()
    assert not copies.add((0, y, y[:3, :4:2]), (1, x, x[:, ::2]))
    assert copies.add((0, y, y[:3, :4:2]), (1, x, x[:, ::2]), scattered=True)
    run(copies, y, x)
    np.testing.assert_array_equal(y[:3, :4:2], x[:, ::2])
    assert y.sum() == x[:, ::2].sum()


@pytest.mark.parametrize("byte", [0, 1, 127, 128, 255])
def test_filled_memory(byte: int) -> None:
    """As many bytes as were asked for."""
    room, keep = np.full(256, 7, np.uint8), list[Any]()
    Steps([Round(sums=[filling((0, 64), 96, byte, keep)])], None, keep).run(*[room] * ARRAYS)
    assert (room[64:160] == byte).all()
    assert (room[:64] == 7).all()
    assert (room[160:] == 7).all()
