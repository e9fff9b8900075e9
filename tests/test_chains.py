"""Chains of arithmetic element by element, against NumPy, operation by operation: the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col.engine import chains
from im2col.engine.chain_kernels import Operation
from im2col.engine.chains import Lying, plan_chain
from im2col.engine.compiler import EngineError
from im2col.engine.sequence import ARRAYS

from .kit.outcomes import require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

require("llvmlite")

MEANINGS: dict[str, Callable[[Array, Array], Array]] = {
    "plus": np.add,
    "minus": np.subtract,
    "times": np.multiply,
    "over": np.divide,
    "at_least": np.maximum,
    "at_most": np.minimum,
    "raised": lambda a, b: np.where(a < b, b, a),
    "lowered": lambda a, b: np.where(a > b, b, a),
    "leaky_relu": lambda a, b: np.where(a >= 0, a, a * b),
}
"""What NumPy calls each operation that is rounded once, or not at all."""
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38]
LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 130)
"""Around vectors of 2 to 16 lanes, and blocks of four of them."""


def numbers(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Array:
    """Return numbers of about 1, with what is no ordinary number among them."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape) * 3
    special = rng.random(shape) < 0.2
    values[special] = rng.choice(SPECIAL, int(special.sum()))
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype)


def lying(x: Array) -> Lying:
    """Return how an array lies."""
    return Lying(x.shape, x.strides)


def run(
    operations: Sequence[Operation], arrays: Sequence[Array], constants: Sequence[Array], out: Array, threads: int = 1
) -> bool:
    """Compute into an array, and return whether the engine did."""
    calls = plan_chain(operations, [lying(x) for x in arrays], constants, lying(out), out.dtype, threads)
    if calls is not None:
        ids = [id(x) for x in arrays]
        calls.run_ids(*ids, *[id(out)] * (ARRAYS - len(ids)))
    return calls is not None


def by_numpy(operations: Sequence[Operation], operands: Sequence[Array]) -> Array:
    """Return the result of one operation after another."""
    values = list(operands)
    with np.errstate(all="ignore"):
        for name, first, second in operations:
            values.append(MEANINGS[name](values[first], values[second]))
    return values[-1]


def assert_same_bits(found: Array, expected: Array) -> None:
    """Compare bits; of NaN, that there is one."""
    integers = f"i{found.itemsize}"
    other = ~(np.isnan(found) & np.isnan(expected))
    np.testing.assert_array_equal(found.view(integers)[other], np.ascontiguousarray(expected).view(integers)[other])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", MEANINGS)
def test_each_operation_is_numpys(name: str, dtype: str) -> None:
    """Of every length of a line, of all pairs of numbers that are none, and of a constant."""
    for n in LENGTHS:
        x, y = numbers(n, dtype=dtype), numbers(n, seed=1, dtype=dtype)
        if name in ("at_least", "at_most"):
            y[np.isnan(y)] = 2
        whole = np.full(n + 2, 77, dtype)
        assert run([Operation(name, 0, 1)], [x, y], [], whole[1:-1])
        assert_same_bits(whole[1:-1], by_numpy([Operation(name, 0, 1)], [x, y]))
        assert (whole[[0, -1]] == 77).all()
        for number in (0, -0.0, 0.5, np.inf):
            constant = np.array(number, dtype)
            assert run([Operation(name, 0, 1)], [x], [constant], whole[1:-1])
            assert_same_bits(whole[1:-1], by_numpy([Operation(name, 0, 1)], [x, constant]))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_sigmoid_is_that_of_more_digits(dtype: str) -> None:
    """Within four units of the last place of what long doubles give; 0, 1 and NaN at the ends."""
    for n in LENGTHS:
        x = np.linspace(-40, 40, n).astype(dtype)
        out = np.empty_like(x)
        assert run([Operation("sigmoid", 0, 0)], [x], [], out)
        exact = 1 / (1 + np.exp(-x.astype(np.longdouble)))
        np.testing.assert_allclose(out, exact, rtol=4 * float(np.finfo(dtype).eps))
    x = np.array([-np.inf, np.inf, np.nan, 0], dtype)
    out = np.empty_like(x)
    assert run([Operation("sigmoid", 0, 0)], [x], [], out)
    np.testing.assert_array_equal(out, np.array([0, 1, np.nan, 0.5], dtype))


CHAIN = [Operation("times", 0, 1), Operation("plus", 4, 2), Operation("at_least", 5, 3), Operation("minus", 6, 0)]
"""Of three arrays and a constant; the first is read again at the end."""
SHAPES = {
    "one": (1, 1, 1, 1),
    "plain": (2, 3, 5, 7),
    "narrow": (3, 5, 1, 1),
    "wide": (1, 37, 9, 11),
    "one channel": (2, 1, 6, 19),
}
BESIDE = {
    "alike": (0, 1, 2, 3),
    "channel": (1,),
    "image and channel": (0, 1),
    "pixel": (0, 2, 3),
    "number": (),
}
"""The axes that an operand has."""


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("axes", BESIDE.values(), ids=BESIDE)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_operands_are_broadcast(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], axes: tuple[int, ...], last: bool, threads: int
) -> None:
    """In both layouts, into new memory and over an operand, with the same bits for any number of threads."""
    monkeypatch.setattr(chains, "_WORTH_A_TASK", 0)
    monkeypatch.setattr(chains, "_LINE", 4)

    def placed(x: Array) -> Array:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if last else x

    fewer = tuple(n if axis in axes else 1 for axis, n in enumerate(shape))
    x, y, z = placed(numbers(*shape)), placed(numbers(*fewer, seed=1)), placed(numbers(*shape, seed=2))
    constant = numbers(shape[1], 1, 1, seed=3)
    constant[np.isnan(constant)] = 1
    expected = by_numpy(CHAIN, [x, y, z, constant])
    out = placed(np.full(shape, 77, "f4"))
    assert run(CHAIN, [x, y, z], [constant], out, threads)
    assert_same_bits(np.ascontiguousarray(out), expected)
    for over in (x, z):
        before = over.copy(order="K")
        assert run(CHAIN, [x, y, z], [constant], over, threads)
        assert_same_bits(np.ascontiguousarray(over), expected)
        over[...] = before


@pytest.mark.parametrize("n", LENGTHS)
def test_lines_and_their_own_numbers(n: int) -> None:
    """As a normalisation of lines has them: a number for each line, and one for each place in it."""
    x, mean, weights = numbers(6, 5, n), numbers(6, 5, 1, seed=1), numbers(n, seed=2)
    formula = [Operation("minus", 0, 1), Operation("times", 3, 2)]
    out = np.empty_like(x)
    assert run(formula, [x, mean], [weights], out)
    assert_same_bits(out, by_numpy(formula, [x, mean, weights]))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_parts_of_larger_arrays(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """What is cut out of images is read where it lies, and no other number is written."""
    monkeypatch.setattr(chains, "_WORTH_A_TASK", 0)
    x, y = numbers(2, 6, 9, 40), numbers(2, 9, 40, 6, seed=1).transpose(0, 3, 1, 2)
    cut = x[:, 1:4, :, 5:38], x[:, 3:, :, 7:]
    whole = np.full((2, 5, 9, 35), 77, "f4")
    out = whole[:, 1:4, :, 1:34]
    plus = [Operation("plus", 0, 1)]
    assert run(plus, cut, [], out, threads)
    assert_same_bits(np.ascontiguousarray(out), by_numpy(plus, cut))
    assert (whole == 77).sum() == whole.size - out.size
    channels = y[:, 2:5]
    over = np.empty((2, 9, 40, 3), "f4").transpose(0, 3, 1, 2)
    assert run(plus, [channels, channels], [], over, threads)
    assert_same_bits(np.ascontiguousarray(over), by_numpy(plus, [channels, channels]))


def test_what_the_engine_leaves() -> None:
    """Other dtypes, two layouts at once, lines that run backwards, more loops than there are, more arrays."""
    x = np.ones((2, 3, 4, 5), np.float32)
    plus, out = [Operation("plus", 0, 1)], np.empty((2, 3, 4, 5), "f4")
    turned = numbers(2, 4, 5, 3).transpose(0, 3, 1, 2)
    five = numbers(3, 1, 3, 1, 3), numbers(1, 3, 1, 3, 1)
    assert not run(plus, [x.astype("f2")] * 2, [], out.astype("f2"))
    assert not run(plus, [x], [np.ones(5)], out)
    assert not run(plus, [x, turned], [], out)
    assert not run(plus, [x, x[..., ::-1]], [], out)
    assert not run(plus, five, [], np.empty((3, 3, 3, 3, 3), "f4"))
    assert not run(plus, [x] * 4, [], out)
    assert not run(plus, [], [x, x], out)


def test_without_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no plan where kernels cannot be compiled."""

    def none(*_: Any) -> None:
        raise EngineError("chain")

    monkeypatch.setattr(chains, "required", none)
    x = numbers(4)
    assert not run([Operation("plus", 0, 1)], [x, x], [], np.empty_like(x))
