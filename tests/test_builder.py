"""The words that kernels are written in: small kernels, run, and compared with Python and NumPy."""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col.engine import compiler
from im2col.engine.builder import Builder
from im2col.engine.compiler import Kernel
from im2col.engine.target import NAMED

from .kit.outcomes import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from im2col.engine.target import Target

Array = np.ndarray[Any, Any]
FAR = 1 << 40


@pytest.fixture(autouse=True)
def _llvmlite() -> None:
    """Run only where there is a compiler."""
    require("llvmlite")


def compiled(arguments: str, write: Callable[[Builder], None]) -> Callable[..., None]:
    """Return a function whose body `write` writes; it takes arrays, for their addresses, and integers."""

    def build(name: str, _target: Target) -> str:
        b = Builder(name, arguments)
        write(b)
        return b.finish()

    function = compiler.load(Kernel("written_by_a_test", build, (), len(arguments.split())))
    assert function is not None, compiler.failure()

    def call(*values: Array | int) -> None:
        function(*[value.ctypes.data if isinstance(value, np.ndarray) else value for value in values])

    return call


def test_arguments_are_named_and_addresses_do_not_alias() -> None:
    """The IR has the function's name and its arguments' names; only addresses are marked, and no name has a star."""
    b = Builder("some_name", "*to from_here *table")
    assert [str(b[name].type) for name in ("*to", "from_here", "*table")] == ["ptr", "i64", "ptr"]
    text = b.finish()
    assert 'define void @"some_name"(ptr noalias %"to", i64 %"from_here", ptr noalias %"table")' in text
    assert "ret void" in text
    with pytest.raises(KeyError):
        b["to"]


def test_types() -> None:
    """Types are made by their size in bytes, or by a number's name."""
    b = Builder("f", "*x")
    assert [str(b.integer(n)) for n in (1, 8, 16)] == ["i8", "i64", "i128"]
    assert [str(b.number(name)) for name in ("f4", "f8", "i1", "u2", "i4", "u8")] == [
        *("float", "double", "i8", "i16", "i32", "i64")
    ]
    assert str(b.byte_vector(32)) == "<32 x i8>"
    assert str(b.vector(b.number("f4"), 8)) == "<8 x float>"
    assert (str(b.constant(-5)), str(b.zero(b.i64))) == ("i64 -5", "i64 0")


@pytest.mark.parametrize("step", [1, 3])
def test_a_loop_counts_like_a_range(step: int) -> None:
    """A loop from start below stop runs as often as a range, not at all where the range is empty."""

    def write(b: Builder) -> None:
        with b.loop(b["stop"], start=b["start"], step=step) as i:
            place = b.at(b["*seen"], i)
            b.store(b.load(place, b.i8), b.at(place, b.constant(32)))

    seen = compiled("*seen start stop", write)
    for start, stop in itertools.product((0, 1, 2, 7, 20), (-FAR, 0, 1, 2, 7, 8, 9, 32)):
        memory = np.concatenate([np.ones(32, np.uint8), np.zeros(32, np.uint8)])
        seen(memory, start, stop)
        assert np.flatnonzero(memory[32:]).tolist() == list(range(start, stop, step))


def test_loops_nest() -> None:
    """An inner loop starts again for every turn of the outer one, and may depend on its counter."""

    def write(b: Builder) -> None:
        with b.loop(b["n"]) as i, b.loop(b.add(i, b.constant(1))) as j:
            place = b.at(b["*out"], b.mul(b.add(b.mul(i, b["n"]), j), 8))
            b.store(b.add(b.mul(i, 100), j), place)

    out = np.full((7, 7), -1)
    compiled("*out n", write)(out, 7)
    assert (out == np.where(np.tri(7, dtype=bool), np.add.outer(np.arange(7) * 100, np.arange(7)), -1)).all()


def test_arithmetic() -> None:
    """Integers are added, subtracted, multiplied, divided and compared as Python does, far beyond 32 bits."""
    table: dict[str, tuple[Callable[[Builder, Any, Any], Any], Callable[[int, int], int]]] = {
        "add": (lambda b, x, y: b.add(x, y), operator.add),
        "sub": (lambda b, x, y: b.sub(x, y), operator.sub),
        "mul": (lambda b, x, y: b.mul(x, y), operator.mul),
        "mul by a constant": (lambda b, x, _: b.mul(x, -24), lambda x, _: -24 * x),
        "div": (lambda b, x, y: b.div(b.mul(b.add(x, y), 12), 12), operator.add),
        "quotient": (lambda b, x, _: b.quotient(b.larger(x, b.constant(0)), 12), lambda x, _: max(x, 0) // 12),
        "smaller": (lambda b, x, y: b.smaller(x, y), min),
        "smaller than": (lambda b, x, y: b.choose(b.smaller_than(x, y), b.constant(1), b.constant(0)), operator.lt),
        "larger": (lambda b, x, y: b.larger(x, y), max),
    }

    def write(b: Builder) -> None:
        for i, (make, _) in enumerate(table.values()):
            b.store(make(b, b["x"], b["y"]), b.at(b["*out"], b.constant(8 * i)))

    function, out = compiled("*out x y", write), np.zeros(len(table), np.int64)
    for x, y in itertools.product((0, 1, -1, 11, 12, 13, -25, FAR, -FAR), (0, 1, -7, 2**20)):
        function(out, x, y)
        assert dict(zip(table, out.tolist(), strict=True)) == {name: value(x, y) for name, (_, value) in table.items()}


def test_tables_and_unaligned_addresses() -> None:
    """Entries of a table are 64-bit numbers, and values are read and written at any byte."""

    def write(b: Builder) -> None:
        with b.loop(b["n"]) as i:
            value = b.load(b.at(b["*src"], b.entry(b["*table"], i)), b.integer(4))
            b.store(value, b.at(b["*dst"], b.add(b.mul(i, 5), b.constant(1))))

    src, dst, table = np.arange(40, dtype=np.uint8), np.zeros(16, np.uint8), np.array([33, 0, 7])
    compiled("*dst *src *table n", write)(dst, src, table, 3)
    assert dst.tolist() == [0, 33, 34, 35, 36, 0, 0, 1, 2, 3, 0, 7, 8, 9, 10, 0]


@pytest.mark.parametrize(("name", "lanes"), [("i1", 16), ("u2", 2), ("f4", 8), ("f8", 4), ("u8", 8)])
def test_masks(name: str, lanes: int) -> None:
    """Lanes from `first` below `stop`, however far outside both lie, are read and written; no other byte is."""

    def write(b: Builder) -> None:
        kind, mask = b.vector(b.number(name), lanes), b.lanes_between(b["first"], b["stop"], lanes)
        b.store(b.masked_load(b["*src"], kind, mask, b.load(b["*rest"], kind)), b["*read"])
        b.masked_store(b.load(b["*src"], kind), b["*written"], mask)

    function = compiled("*src *rest *read *written first stop", write)
    src, rest = np.arange(1, lanes + 1).astype(name), np.arange(50, 50 + lanes).astype(name)
    edges = (-FAR, -1, 0, 1, lanes // 2, lanes - 1, lanes, lanes + 1, FAR)
    for first, stop in itertools.product(edges, edges):
        read, written = np.zeros(lanes + 1, name), np.full(lanes + 1, 99, name)
        function(src, rest, read, written, first, stop)
        inside = (np.arange(lanes) >= first) & (np.arange(lanes) < stop)
        assert read.tolist() == [*np.where(inside, src, rest), 0]
        assert written.tolist() == [*np.where(inside, src, 99), 99]


def test_a_prefetch_reads_nothing() -> None:
    """Even an address that cannot be read may be asked for."""
    compiled("*nowhere", lambda b: b.prefetch(b["*nowhere"]))(16)


def test_an_empty_masked_load_reads_nothing() -> None:
    """With no lane in the mask even an address that cannot be read is no error."""

    def write(b: Builder) -> None:
        kind = b.vector(b.number("f4"), 8)
        mask = b.lanes_between(b["first"], b.constant(8), 8)
        b.store(b.masked_load(b["*nowhere"], kind, mask, b.zero(kind)), b["*out"])

    out = np.ones(8, np.float32)
    compiled("*out *nowhere first", write)(out, 16, 8)
    assert (out == 0).all()


@pytest.mark.parametrize("count", [1, 3, 4, 7, 12, 16, 20, 33, 60])
def test_load_bytes(count: int) -> None:
    """The first bytes of a vector are those of the memory, up to the next power of two."""

    def write(b: Builder) -> None:
        b.store(b.load_bytes(b["*src"], count), b["*dst"])

    src, dst = np.arange(1, count + 1, dtype=np.uint8), np.zeros(65, np.uint8)
    compiled("*src *dst", write)(src, dst)
    assert dst[:count].tolist() == src.tolist()
    assert not dst[1 << (count - 1).bit_length() :].any()


@pytest.mark.parametrize(("name", "lanes"), [("u1", 16), ("f4", 8), ("f8", 2)])
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_interleaved(name: str, lanes: int, count: int) -> None:
    """The first lane of each vector, then the second of each; through memory of the function's own."""

    def write(b: Builder) -> None:
        kind, size = b.vector(b.number(name), lanes), lanes * b.bytes_of(name)
        room = b.room(kind, count)
        with b.loop(b.constant(count)) as i:
            b.store(b.load(b.at(b["*src"], b.mul(i, size)), kind), b.at(room, b.mul(i, size)))
        vectors = [b.load(b.at(room, b.constant(i * size)), kind) for i in range(count)]
        for i, vector in enumerate(b.interleaved(vectors)):
            b.store(vector, b.at(b["*dst"], b.constant(i * size)))

    src, dst = np.arange(count * lanes).astype(name), np.zeros(count * lanes, name)
    compiled("*dst *src", write)(dst, src)
    assert dst.tolist() == src.reshape(count, lanes).T.ravel().tolist()


def test_a_walk_goes_as_far_as_its_body_says() -> None:
    """Powers of two from one bound to the other."""

    def write(b: Builder) -> None:
        with b.walk(b["start"], b["stop"]) as state:
            b.store(b.add(state.index, b.constant(1)), b.at(b["*dst"], b.mul(state.index, 8)))
            state.values = [b.mul(state.index, 2)]

    for start, stop in ((1, 16), (1, 17), (3, 14), (5, 5)):
        dst = np.zeros(20, np.int64)
        compiled("*dst start stop", write)(dst, start, stop)
        expected = [start << i for i in range(5) if start << i < stop]
        assert (dst.nonzero()[0].tolist(), dst[dst > 0].tolist()) == (expected, [i + 1 for i in expected])


@pytest.mark.parametrize(("itemsize", "side"), [(1, 2), (1, 16), (2, 8), (4, 4), (8, 8), (16, 2), (4, 1)])
def test_transpose(itemsize: int, side: int) -> None:
    """The rows of a square tile become its columns."""

    def write(b: Builder) -> None:
        row, step = b.vector(b.integer(itemsize), side), itemsize * side
        rows = [b.load(b.at(b["*src"], b.constant(i * step)), row) for i in range(side)]
        for i, column in enumerate(b.transpose(rows)):
            b.store(column, b.at(b["*dst"], b.constant(i * step)))

    src = np.random.default_rng(side).integers(0, 256, (side, side, itemsize), np.uint8)
    dst = np.zeros_like(src)
    compiled("*src *dst", write)(src, dst)
    np.testing.assert_array_equal(dst, src.transpose(1, 0, 2))


@pytest.mark.parametrize(
    ("narrow", "wide"), [("i1", "i8"), ("u1", "i8"), ("i4", "i8"), ("u4", "u8"), ("i8", "i8"), ("u2", "u8")]
)
def test_numbers_grow_and_wrap(narrow: str, wide: str) -> None:
    """Integers keep their value when they grow, with a sign or without one, and their sums wrap."""

    def write(b: Builder) -> None:
        kind = b.vector(b.number(wide), 4)
        grown = b.grow(b.load(b["*values"], b.vector(b.number(narrow), 4)), narrow, wide, kind)
        b.store(b.sum(wide, b.load(b["*sums"], kind), grown), b["*sums"])

    limits, most = np.iinfo(narrow), np.iinfo(wide)
    values, sums = np.array([limits.min, limits.max, 0, 1], narrow), np.array([5, most.max, most.min, most.max], wide)
    expected = sums + values.astype(wide)
    compiled("*values *sums", write)(values, sums)
    assert sums.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["f4", "f8"])
def test_floats_are_added_as_numpy_adds_them(name: str) -> None:
    """One rounding to nearest for each sum, with infinities and NaN."""

    def write(b: Builder) -> None:
        kind = b.vector(b.number(name), 4)
        b.store(b.sum(name, b.load(b["*x"], kind), b.load(b["*y"], kind)), b["*x"])

    x, y = np.array([0.1, 1e30, np.inf, np.nan], name), np.array([0.2, 1, 1, 1], name)
    expected = x + y
    compiled("*x *y", write)(x, y)
    np.testing.assert_array_equal(x, expected)


def test_accumulate() -> None:
    """Values are carried from turn to turn, and are the initial ones where there is no turn; loops may nest."""

    def write(b: Builder) -> None:
        with b.accumulate(b["start"], b["stop"], [b.constant(7), b.constant(1)]) as outer:
            with b.accumulate(b.constant(0), outer.index, list(outer.values)) as inner:
                inner.values[0] = b.add(inner.values[0], inner.index)
            outer.values = [inner.values[0], b.mul(outer.values[1], 2)]
        for i, value in enumerate(outer.values):
            b.store(value, b.at(b["*out"], b.constant(8 * i)))

    function, out = compiled("*out start stop", write), np.zeros(2, np.int64)
    for start, stop in ((0, 0), (5, 3), (0, 1), (2, 6)):
        function(out, start, stop)
        turns = range(start, stop)
        assert out.tolist() == [7 + sum(j for i in turns for j in range(i)), 2 ** len(turns)]


@pytest.mark.parametrize(("name", "lanes"), [("f4", 8), ("f8", 4), ("i1", 16), ("i2", 8), ("f4", 16)])
@pytest.mark.parametrize("step", [1, 2, 3, 5, 16, 17])
def test_lanes_are_stored_apart(name: str, lanes: int, step: int) -> None:
    """Any number of lanes, any elements apart: nothing between or behind them is touched."""
    dtype = np.dtype({"f4": np.float32, "f8": np.float64, "i1": np.int8, "i2": np.int16}[name])
    values = np.arange(1, lanes + 1).astype(dtype)
    for count in range(1, lanes + 1):

        def write(b: Builder, count: int = count) -> None:
            b.store_apart(b.load(b["*from"], b.vector(b.number(name), lanes)), b["*to"], step, count)

        room = np.full(lanes * step + 64, 99, dtype)
        compiled("*from *to", write)(values, room)
        expected = np.full_like(room, 99)
        expected[: count * step : step] = values[:count]
        np.testing.assert_array_equal(room, expected, f"{count} lanes")


@pytest.mark.parametrize("cpu", ["sse2", "avx2", "avx512", "neon"])
@pytest.mark.parametrize("lanes", [2, 4, 8])
def test_vectors_of_any_length_are_settled(cpu: str, lanes: int) -> None:
    """Also those that are shorter than a register, on every CPU: LLVM ends the process over what it cannot place."""

    def build(name: str, target: Target) -> str:
        b = Builder(name, "*x", target)
        kind = b.vector(b.number("i2"), lanes)
        (value,) = b.settled([b.load(b["*x"], kind)], target.register)
        b.store(value, b["*x"])
        return b.finish()

    assert compiler.assembly(Kernel("settles", build, (), 1), NAMED[cpu])
