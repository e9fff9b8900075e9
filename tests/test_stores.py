"""The words of kernels: transposes of any tile, parts of vectors stored whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col.engine.builder import Builder
from im2col.engine.compiler import Kernel, load
from im2col.engine.target import NAMED, host, powers

from .kit.outcomes import require

if TYPE_CHECKING:
    from im2col.engine.target import Target

DTYPES = {"f4": np.float32, "f8": np.float64, "i1": np.int8, "i2": np.int16, "i4": np.int32}
JUNK = 77


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Ask for the compiler."""
    require("llvmlite")


def run(build: Any, parameters: tuple[Any, ...], *arrays: Any) -> None:
    """Compile a function for this machine, and call it with arrays and numbers."""
    name = "_".join(map(str, (build.__name__, *parameters)))
    function = load(Kernel(name, build, parameters, len(arrays), 1), host())
    assert function is not None
    function(*(a if isinstance(a, int) else a.ctypes.data for a in arrays))


def transposed(name: str, _target: Target, kind: str, rows: int, lanes: int) -> str:
    """Load rows that lie one behind the other, and store the columns in the same way."""
    b = Builder(name, "*x *out")
    vector, size = b.vector(b.number(kind), lanes), b.bytes_of(kind)
    loaded = [b.load(b.at(b["*x"], b.constant(i * lanes * size)), vector) for i in range(rows)]
    for i, column in enumerate(b.transpose(loaded)):
        b.store(column, b.at(b["*out"], b.constant(i * rows * size)))
    return b.finish()


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_tiles_of_fewer_rows_than_lanes_are_transposed(kind: str, lanes: int) -> None:
    """Every power of two of rows, up to a square."""
    for rows in (1 << bit for bit in range(lanes.bit_length())):
        x = np.arange(rows * lanes).reshape(rows, lanes).astype(DTYPES[kind])
        out = np.full((lanes, rows), JUNK, x.dtype)
        run(transposed, (kind, rows, lanes), x, out)
        np.testing.assert_array_equal(out, x.T)


def stored_below(name: str, _target: Target, kind: str, lanes: int, cpu: str) -> str:
    """Store the lanes of a vector below an argument."""
    b = Builder(name, "*x *out stop", NAMED[cpu])
    b.store_below(b.load(b["*x"], b.vector(b.number(kind), lanes)), b["*out"], b["stop"])
    return b.finish()


def stored_first(name: str, _target: Target, kind: str, lanes: int, cpu: str, count: int) -> str:
    """Store so many lanes of a vector."""
    b = Builder(name, "*x *out", NAMED[cpu])
    b.store_first(b.load(b["*x"], b.vector(b.number(kind), lanes)), b["*out"], count)
    return b.finish()


def stored_apart(name: str, _target: Target, kind: str, lanes: int, cpu: str, step: int, count: int) -> str:
    """Store so many lanes of a vector, some elements apart."""
    b = Builder(name, "*x *out", NAMED[cpu])
    b.store_apart(b.load(b["*x"], b.vector(b.number(kind), lanes)), b["*out"], step, count)
    return b.finish()


def check(x: Any, out: Any, count: int, step: int = 1) -> None:
    """Check that the first `count` numbers are where they belong, and nothing else was touched."""
    expected = np.full_like(out, JUNK)
    expected[: count * step : step] = x[:count]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("cpu", ["avx512", "avx2", "zen3"])
@pytest.mark.parametrize(("kind", "lanes"), [("f4", 2), ("f4", 8), ("f8", 4), ("i2", 16)])
def test_the_first_lanes_are_stored(kind: str, lanes: int, cpu: str) -> None:
    """As many as are known when the kernel is written, or when it runs, however far outside; and no lane more."""
    x = np.arange(1, lanes + 1).astype(DTYPES[kind])
    out = np.empty(4 * lanes, x.dtype)
    for count in range(1, lanes + 1):
        out[:] = JUNK
        run(stored_first, (kind, lanes, cpu, count), x, out)
        check(x, out, count)
    for stop in (*range(-1, lanes + 3), 1 << 40, -(1 << 40)):
        out[:] = JUNK
        run(stored_below, (kind, lanes, cpu), x, out, stop)
        check(x, out, min(max(stop, 0), lanes))


@pytest.mark.whole
@pytest.mark.parametrize("cpu", ["avx512", "avx2", "zen3"])
@pytest.mark.parametrize("step", [1, 2, 9])
def test_lanes_are_stored_apart(step: int, cpu: str) -> None:
    """From one to all of them, side by side, a little apart, and further apart than a vector is long."""
    x = np.arange(1, 9).astype(np.float32)
    for count in range(1, 9):
        out = np.full(9 * step, JUNK, x.dtype)
        run(stored_apart, ("f4", 8, cpu, step, count), x, out)
        check(x, out, count, step)


@pytest.mark.parametrize("count", range(1, 40))
def test_powers_cover_a_count(count: int) -> None:
    """Falling powers of two, one behind the other, as many as the count has bits."""
    found = powers(count)
    assert [at for at, _ in found] == [sum(width for _, width in found[:i]) for i in range(len(found))]
    assert sum(width for _, width in found) == count
    assert all(width & (width - 1) == 0 for _, width in found)
    assert len(found) == count.bit_count()
