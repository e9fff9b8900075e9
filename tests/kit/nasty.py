"""What nobody should pass: a pool of values for every argument of every public call.

Each value is made anew for each case, because a generator is used up and an array may be written to.
"""

from __future__ import annotations

import array
import collections
import ctypes
import enum
import inspect
import io
import itertools
import weakref
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Make = Callable[[], Any]

HOOKS = (
    *("__array__", "__len__", "__index__", "__eq__", "__repr__", "__hash__", "__bool__", "__iter__", "__getitem__"),
    *("__str__", "__float__", "__int__", "__dlpack__", "__fspath__", "__contains__", "__getattr__", "__format__"),
    *("__lt__", "__array_interface__", "__array_struct__", "__buffer__", "dtype", "shape", "keys", "__ne__"),
    *("__dlpack_device__", "__array_namespace__"),
)
"""What Python or NumPy may ask of an object."""
ERRORS = (ValueError, ZeroDivisionError, RuntimeError, AttributeError, TypeError, KeyError, OSError, RecursionError)


def hostile(base: type, *hooks: str, error: type[Exception] = ValueError) -> type:
    """Return a subclass that raises when it is asked for some of the hooks."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise error("no")

    return type(f"Hostile{base.__name__.title()}", (base,), dict.fromkeys(hooks, refuse))


def claiming(answer: Any) -> Any:
    """Return an object that says it is of some class, or that raises an error instead."""

    def of_class(_: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return type("Claiming", (), {"__class__": property(of_class)})()


def answering(hook: str, answer: Any) -> Any:
    """Return an object with one hook, which answers with something."""
    return type("Answering", (), {hook: lambda *_, **__: answer})()


class Colour(enum.Enum):
    """An enumeration."""

    RED = 1


class Number(enum.IntEnum):
    """An enumeration of integers."""

    ONE = 1


class Word(enum.StrEnum):
    """An enumeration of words."""

    SAME = "same"
    ROWS = "rows"


def _recursive(kind: type) -> Any:
    if kind is dict:
        loop: Any = {}
        loop["loop"] = loop
    else:
        loop = [1]
        loop.append(loop)
    return loop


def _nested(depth: int) -> Any:
    nest: Any = 1
    for _ in range(depth):
        nest = [nest]
    return nest


def _sparse() -> Any:
    try:
        import scipy.sparse
    except ImportError:
        return None
    return scipy.sparse.eye_array(4)


def these(*values: Any) -> list[Make]:
    """Return what makes each value: the value itself."""
    return [partial(lambda value: value, value) for value in values]


NUMBERS: list[Make] = [
    *these(
        *(None, True, False, Ellipsis, NotImplemented, float("nan"), float("inf"), float("-inf"), 1j, complex("nan")),
        *(-1, 0, 1, 2, 3, 7, 127, 128, 2**31, 2**40, 2**62, 2**63, 2**64, 2**80, 2**2000, -(2**2000), 10**5000),
        *(-(2**63), 1.5, 3.0, -0.0, 1e308, 1e-320, Fraction(1, 2), Fraction(2), Decimal("1.5"), Decimal("NaN")),
        *(np.int8(1), np.uint64(2**64 - 1), np.int64(-(2**63)), np.float16(1.5), np.float64("nan"), np.bool_(True)),
        *(
            np.complex64(1j),
            np.datetime64("2020"),
            np.timedelta64(1, "s"),
            np.str_("same"),
            np.bytes_(b"a"),
            np.void(b"abc"),
        ),
        *(np.longdouble(1), ml_dtypes.bfloat16(1), ml_dtypes.int4(1), ml_dtypes.float8_e5m2(1)),
        *(np.array(1), np.array(1.5), np.array(True), np.array(None), np.array("x"), np.array(2**63, np.uint64)),
        *(Colour.RED, Number.ONE, Word.SAME, Word.ROWS),
    ),
]
WORDS: list[Make] = [
    *these(
        *("", "x", "same", "full", "rows", "columns", "sum", "mean", "constant", "reflect", "wrap", "circular", "auto"),
        *("explicit", "relu", "leaky_relu", "all", "letters", "zh", "fold", "csr", "conv_transpose", "channel-last"),
        *("\0", "a\0b", "\ud800", "é", "N" * 10, "HW", "W", "CHW", "NCHW", "HWC", "hw", "H W", "ＨＷ", "NC"),
        *("f4", "float8_e5m2", "M8[s]", "O", "i4,i4", "V3", "V99999999999999999999", ">f8", "(2,2)f4", "x" * 10**6),
        *(b"", b"same", b"\0", bytearray(b"abc"), "123", "²", "1e3", "%s%n", "{}", "{0.__class__}"),
    ),
]
CONTAINERS: list[Make] = [
    *these(
        *([], (), [1], (1,), (2, 2), (1, 1), (0, 0), (-1, -1), (1.5, 2), (1, 2, 3), (True, True), (None, None)),
        *([[1, 2], [3, 4]], ((1, 1), (1, 1)), ((1,), (2,)), ((1, 2, 3), (1, 2, 3)), [[1], [2, 3]], [[], []], [()]),
        *((2**63, 2**63), (2**2000, 1), (10**5000, 1), ("a", "b"), ("leaky_relu", 0.1), ("leaky_relu", "x")),
        *(("leaky_relu", 10**400), ("leaky_relu", None), ("relu", 1), ({}, {}), (np.ones(2), np.ones(2))),
        *((Fraction(1), Decimal(1)), [None], ["a", "b"], [1, "a"], [1j, 2], [2**70, 1], (np.int8(1), np.int16(2))),
        *(
            {},
            {"a": 1},
            {1: 2},
            set(),
            {1, 2},
            frozenset("ab"),
            range(2),
            slice(None),
            {"x_shape": 1, "w_shape": 2},
        ),
        *([{"x_shape": (1, 2, 3), "w_shape": (1, 2, 3)}], [{"x_shape": 1}], [{}], [{"fish": 1}], [None, {}]),
        *([{"x_shape": (1, 1, 3, 3), "w_shape": (1, 1, 3, 3), 5: 6}], (1,) * 25, (1,) * 40, (1,) * 70, [0] * 30),
        *(((1, 1), 1), (((1,),),), ((2**63, 2**63), (1, 1)), ((None, None), (1, 1)), [b"a"], [object()]),
    ),
    *(
        *(
            lambda: (i for i in range(2)),
            lambda: iter([1, 2]),
            lambda: map(int, "12"),
            lambda: zip([1], [2], strict=True),
        ),
        *(itertools.count, lambda: _recursive(list), lambda: _recursive(dict), lambda: _nested(40)),
        *(lambda: _nested(500), lambda: _nested(20_000), lambda: (_nested(2000), 1), lambda: (_recursive(list), 1)),
        *(lambda: collections.deque([1, 2]), lambda: array.array("d", [1, 2]), lambda: memoryview(b"abc")),
        *(lambda: np.ones((4, 4)).data, lambda: collections.OrderedDict(a=1), lambda: collections.Counter("ab")),
        *(
            lambda: [{"x_shape": (1, 1, 3, 3), "w_shape": (1, 1, 3, 3), "dtype": "fish"}],
            lambda: [answering("keys", 1)],
        ),
    ),
]
OBJECTS: list[Make] = [
    *(lambda value=value: value for value in (int, object, np.float32, np.ndarray, Exception, len, np, str, list)),
    *(
        *(lambda: lambda: 1, object, lambda: Path("x"), lambda: Path("/nowhere/x.svg"), io.StringIO, io.BytesIO),
        *(
            np.random.default_rng,
            lambda: np.dtype("f4"),
            lambda: np.dtype("O"),
            lambda: inspect.signature(len),
        ),
    ),
    *(lambda hook=hook, error=error: hostile(object, hook, error=error)() for hook in HOOKS for error in ERRORS[:3]),
    *(lambda error=error: hostile(object, *HOOKS, error=error)() for error in ERRORS),
    *(lambda hook=hook: answering(hook, object()) for hook in HOOKS),
    *(lambda hook=hook: answering(hook, -1) for hook in HOOKS),
    *(lambda hook=hook: answering(hook, "x") for hook in HOOKS),
    *(lambda value=value: answering("__array__", value) for value in ("x", np.ones((4, 4)), np.array(["a"]), None)),
    *(lambda value=value: answering("__index__", value) for value in (2, 2**63, True, 1.5)),
    *(
        lambda base=base, value=value, hook=hook: hostile(base, hook)(value)
        for base, value in ((str, "same"), (int, 1), (tuple, (1, 1)), (list, [1, 1]), (float, 1.5), (dict, {"a": 1}))
        for hook in ("__eq__", "__repr__", "__len__", "__iter__", "__hash__", "__index__", "__getitem__", "__str__")
    ),
    *(
        lambda base=base, value=value: hostile(base, *HOOKS[1:])(value)
        for base, value in ((str, "rows"), (int, 2), (tuple, (2, 2)), (list, [2, 2]), (float, 1.5))
    ),
]


def _masked() -> Any:
    return np.ma.MaskedArray(np.ones((4, 4)), np.eye(4, dtype=bool))


def _dead() -> Any:
    return weakref.proxy(io.BytesIO())  # whose file is gone at once


def _nameless() -> Any:
    """Return an object whose class does not tell its name."""
    return hostile(type, "__name__")("Nameless", (), {})()


def _classless() -> Any:
    """Return an object whose class answers no question."""
    return hostile(type, "__getattr__")("Classless", (), {})()


def _complaining(words: str) -> Any:
    """Return an object that says something when it is to be an array."""

    def complain(*_: Any, **__: Any) -> Any:
        raise ValueError(words)

    return type("Complaining", (), {"__array__": complain})()


def _unaligned() -> Array:
    return np.frombuffer(bytearray(4 * 4 * 8 + 1), np.uint8)[1:].view(np.float64).reshape(4, 4)


def _read_only() -> Array:
    a = np.ones((4, 4))
    a.flags.writeable = False
    return a


def registered_dtypes() -> list[np.dtype[Any]]:
    """Return every dtype of ml_dtypes."""
    scalars = (getattr(ml_dtypes, name) for name in sorted(vars(ml_dtypes)))
    types = (each for each in scalars if isinstance(each, type) and issubclass(each, np.generic))
    return list(dict.fromkeys(map(np.dtype, types)))


_CLASSES = (list, tuple, str, int, float, bool, dict, type(None), np.ndarray, np.ma.MaskedArray, np.bool_, Path)
"""What an object may say that it is."""
LIARS: list[Make] = [
    *(lambda answer=answer: claiming(answer) for answer in (*_CLASSES, ValueError("no"))),
    *(lambda answer=answer: mock.Mock(spec=answer) for answer in (list, tuple, str, int, dict, np.ndarray)),
    *(mock.Mock, mock.MagicMock, _dead, _nameless, _classless),
    *(lambda: hostile(dict, "items", "keys")({"W": "wrap"}), lambda: {"W": "wrap"}, lambda: {claiming(str): "wrap"}),
    *(lambda: (claiming(list), claiming(tuple)), lambda: (_dead(), 1), lambda: (mock.MagicMock(), 1)),
    *(lambda words=words: answering("__repr__", words) for words in ("\ud800", "a\nb", "x" * 10**6)),
    *(lambda words=words: _complaining(words) for words in ("\ud800", "a\nb", "x" * 10**6)),
]
BUFFERS: list[Make] = [
    *(lambda: (ctypes.c_int * 4)(1, 2, 3, 4), (ctypes.c_double * 4) * 4, lambda: ctypes.c_int(2)),
    *(lambda code=code: array.array(code, [2, 2]) for code in "bBhHiIlLqQfd"),
    *(lambda: np.ones((4, 2)).data, lambda: np.ones(4).flat, lambda: np.char.array(["a", "b"])),
    *(lambda: np.ma.masked, lambda: (np.ma.masked, 1), lambda: np.ma.masked_equal([2, 1], 1)),
]
ARRAYS: list[Make] = [
    *(lambda shape=shape: np.ones(shape) for shape in ((4,), (4, 4), (3, 4, 4), (2, 3, 4, 4), (1,) * 5, (1,) * 40)),
    *(
        lambda shape=shape: np.ones(shape)
        for shape in ((0,), (0, 4), (4, 0), (0, 0, 0, 0), (3, 0, 4), (1, 1), (32, 32, 3))
    ),
    lambda: np.broadcast_to(1.0, (4, 4)),
    *(lambda dtype=dtype: np.ones((4, 4)).astype(dtype) for dtype in (*"?bhilqBHILQefdgFDGSUOT", ">f4", "<i2")),
    *(lambda dtype=dtype: np.ones((4, 4)).astype(dtype) for dtype in registered_dtypes()),
    *(
        *(lambda: np.zeros((4, 4), "M8[s]"), lambda: np.zeros((4, 4), "m8[s]"), lambda: np.zeros((4, 4), "V3")),
        *(lambda: np.zeros((4, 4), "i4,f4"), lambda: np.full((4, 4), Fraction(1, 2)), lambda: np.array([None, 1])),
        *(
            lambda: np.matrix(np.ones((4, 4))),
            lambda: np.zeros(2, "i4,f4").view(np.recarray),
            _masked,
            _unaligned,
            _read_only,
            _sparse,
        ),
        *(
            lambda: np.ones((8, 8))[::2, ::-2],
            lambda: np.asfortranarray(np.ones((4, 4))),
            lambda: np.ones((4, 4)) * np.nan,
        ),
        *(
            lambda: np.array([2, 2]),
            lambda: np.array([2.5, 2]),
            lambda: np.array([[1, 1], [1, 1]]),
            lambda: np.array([-1, 2]),
        ),
        *(
            lambda: np.array([2**63, 1], np.uint64),
            lambda: np.ones((4, 4)).view(hostile(np.ndarray, "__repr__", "__eq__")),
            lambda: np.ones((4, 4)).view(hostile(np.ndarray, "__array_function__", "__array_ufunc__", "__getitem__")),
            lambda: np.zeros((4, 4), [(f"f{i}", "f4") for i in range(2000)]),
            lambda: np.zeros((4, 4), [("\ud800" * 2000, "f4")]),
            lambda: _nested(62),
            lambda: _nested(64),
        ),
        *(lambda: np.array([object(), 1]), lambda: np.full((4, 4), 2**70), lambda: np.ones((1, 1, 4, 4), np.float32)),
    ),
]
POOL: list[Make] = [*NUMBERS, *WORDS, *CONTAINERS, *OBJECTS, *LIARS, *BUFFERS, *ARRAYS]
