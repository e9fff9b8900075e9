"""Arrays in, arrays out: what is accepted as an image, and what as `out`."""

from __future__ import annotations

import sys
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from ..errors import DTypeError, Im2colError, OutputError, class_of, shortened, shown, words_of
from ..importing import importing
from .arguments import is_a

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import DTypeLike, NDArray


P = ParamSpec("P")
R = TypeVar("R")

_NUMBERS = "biufc"
"""The kinds of NumPy's own dtypes that hold numbers."""


def as_array(name: str, value: Any, *, objects: bool = False, door: str | None = None) -> NDArray[Any]:
    """Return `value` as a NumPy array, without a copy where it holds one.

    Parameters
    ----------
    name : str
        What an error names.
    value : array_like
        An ndarray, or a CPU object that speaks ``__array__`` or DLPack, or nested sequences of numbers. Where ml_dtypes
        is installed, tensors of torch may have dtypes that NumPy lacks: bfloat16 and float8. What pandas has of dtypes
        with missing values (Int64, Float64, boolean) is taken as the numbers that it holds, if it misses none.
    objects : bool
        Whether the numbers may be Python's own, or anybody's: they are copied then, and not computed with.
    door : str, optional
        What takes an array that is not in memory, which an error names.

    Returns
    -------
    ndarray
        Of a boolean, integer, float, complex or registered (bfloat16) dtype, or of objects; any memory order.

    Raises
    ------
    DTypeError
        For masked arrays, tables with missing values (pandas.NA), numbers with a unit, images with a palette,
        structured, object, string and time dtypes, and what no array can be made of.
    MemoryBudgetError
        For what is not in memory: `check_whole`.
    """
    if type(value) is np.ndarray and value.dtype.kind in _NUMBERS:  # all but the rare call
        return value
    if value is None:
        raise DTypeError(f"{name} is None; pass an array")
    try:
        if type(value) is not np.ndarray and type(value).__module__ != "builtins":
            with importing:
                from .foreign import check_whole

            check_whole(name, value, door)
        array = _convert(name, value)
    except Im2colError:
        raise
    except Exception as cause:  # an object's own error, too, whatever it was asked
        raise DTypeError(
            f"{name} of type {class_of(value)} cannot be used as a NumPy array ({words_of(cause)}); pass an "
            "ndarray in CPU memory"
        ) from cause
    if not (_is_numeric(array.dtype) or (objects and array.dtype.kind == "O" and array.ndim)):
        raise DTypeError(f"{name} {_refusal(name, value, array)}")
    return array


def same_kind(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function of arrays return them as its first argument has them; it is `named`, too.

    Where that is an ndarray, or what NumPy makes one of, nothing else happens. Otherwise all arguments of its kind are
    passed as ndarrays over their memory, so that `out` may be of the kind, too.
    """
    parameters, ndarray = function.__code__.co_varnames, np.ndarray
    first = parameters[0]

    @wraps(function)
    def public(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            if type(args[0] if args else kwargs.get(first)) is ndarray:  # all but the rare call
                return function(*args, **kwargs)
            result: R = in_kind(function, parameters, args, kwargs)
        except Im2colError as error:
            error.name_operation(function.__name__)
            raise
        return result

    return public


def in_kind(
    function: Callable[..., Any], parameters: Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a function of ndarrays, and return its arrays in the kind of its first argument.

    Parameters
    ----------
    function : callable
        It returns an array, a tuple of them, or something else, which stays as it is.
    parameters : sequence of str
        The names of what it takes, in order, which errors name.
    args, kwargs
        Of the call.

    Raises
    ------
    DTypeError, MemoryBudgetError
        If an argument of the kind cannot be an ndarray, or the result cannot be of the kind.
    """
    with importing:
        from .foreign import kind_of, returned

    kind = kind_of(args[0] if args else kwargs.get(parameters[0]))
    if kind is None:
        return function(*args, **kwargs)

    def plain(name: str, value: Any) -> Any:
        return as_array(name, value, objects=True) if kind_of(value) is kind else value

    positional = map(plain, parameters, args)
    named = {name: plain(name, each) for name, each in kwargs.items()}
    given, out = kwargs.get("out"), named.get("out")
    result = function(*positional, *args[len(parameters) :], **named)
    if type(result) is tuple:
        return tuple(given if each is out else returned(kind, each) for each in result)
    return given if result is out else returned(kind, result)


def _convert(name: str, value: Any) -> NDArray[Any]:
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    torch = sys.modules.get("torch")  # whose tensors these may be only where it has been imported
    if torch is not None and is_a(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        if dtype == "bfloat16" or dtype.startswith("float8_"):
            with importing:
                from .foreign import array_of_bits

            return array_of_bits(value, torch, dtype)
    pandas = sys.modules.get("pandas")  # as torch
    if pandas is not None and is_a(value, _of_pandas(pandas)):
        with importing:
            from .foreign import array_of_table

        return array_of_table(name, value, pandas)
    return np.asarray(value)


def _of_pandas(pandas: Any) -> Any:
    """Return the classes of pandas that hold numbers."""
    return pandas.DataFrame, pandas.Series, pandas.Index, pandas.api.extensions.ExtensionArray


def _refusal(name: str, value: object, array: NDArray[Any]) -> str:
    """Return why an array of no numbers is refused, and what to pass instead."""
    dtype, kind = array.dtype, class_of(value)
    if dtype.kind == "O" and hasattr(value, "toarray"):  # a matrix of scipy.sparse, which np.asarray wraps
        return f"is a sparse {kind}; pass a dense array, as in {name}.toarray()"
    if dtype.kind == "O" and array.ndim == 0:
        return f"of type {kind} is no array; pass an ndarray, or nested lists of numbers"
    if dtype.names is not None:
        field = f"{name}[{shown(dtype.names[0])}]"
        return f"has the structured dtype {shortened(str(dtype))}; pass one of its fields, as in {field}"
    convert = f"{name}.view(np.uint8)"
    if dtype.kind in "OUST":
        convert = f"np.asarray({name}, float)"
    elif dtype.kind in "Mm":
        convert = f"{name}.astype(np.int64)"
    return f"has dtype {dtype}, which is not a number; convert it first, as in {convert}"


def as_dtype(name: str, value: DTypeLike) -> np.dtype[Any]:
    """Return `value` as a dtype that arrays may have here.

    Parameters
    ----------
    name : str
        What an error names.
    value : dtype_like
        Such as ``np.float32`` or ``"int8"``; None, which NumPy takes for float64, is none.

    Raises
    ------
    DTypeError
        If it is no dtype, or one that `as_array` refuses.
    """
    try:
        dtype = np.dtype(value) if value is not None else None
    except Exception as cause:
        raise DTypeError(f"{name}={shown(value)} is not a dtype; pass one such as np.float32") from cause
    if dtype is None:
        raise DTypeError(f"{name}=None is not a dtype; pass one such as np.float32")
    if not _is_numeric(dtype):
        raise DTypeError(f"{name}={shortened(str(dtype))} is not a number; pass one such as np.float32")
    return dtype


def _is_numeric(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in _NUMBERS or is_registered(dtype)


def is_registered(dtype: np.dtype[Any]) -> bool:
    """Whether another package registered the dtype with NumPy, as ml_dtypes does with bfloat16."""
    return dtype.isbuiltin == 2


def check_numbers(name: str, dtype: np.dtype[Any], *, integers: bool = False) -> None:
    """Refuse a dtype whose numbers are copied as they are, but not calculated with.

    Parameters
    ----------
    name : str
        What an error names.
    dtype : dtype
        One that `as_array` takes. NumPy's own are calculated with, and so are other packages' floats, in float32. Other
        packages' integers (int4) are added, in 64 bits, but not multiplied; their complex numbers have no common dtype
        with NumPy's floats, and float8_e8m0fnu has no 0.
    integers : bool
        Whether numbers are added alone.

    Raises
    ------
    DTypeError
    """
    if is_registered(dtype):
        instead = wider(dtype)
        if instead is not None and not (integers and is_registered_integer(dtype)):
            raise DTypeError(
                f"{name} has dtype {dtype}, which is copied but not calculated with; convert it first, as in "
                f"{name}.astype(np.{instead})"
            )


def check_result(dtype: np.dtype[Any]) -> None:
    """Refuse a dtype that a user asks for and that no sum is made in, as `check_numbers` refuses it of an array.

    Raises
    ------
    DTypeError
    """
    instead = wider(dtype) if is_registered(dtype) else None
    if instead is not None:
        raise DTypeError(f"dtype={dtype} is not calculated with; ask for np.{instead} and convert the result")


def is_registered_integer(dtype: np.dtype[Any]) -> bool:
    """Whether a registered dtype holds integers: int4 does, bfloat16 does not."""
    return is_registered(dtype) and np.can_cast(dtype, np.int64, "same_kind")


@cache
def wider(dtype: np.dtype[Any]) -> str | None:
    """Return NumPy's own dtype that a registered one is to be converted to; None for one that is calculated with."""
    if is_registered_integer(dtype):
        return "int8" if np.array(-1).astype(dtype).astype(np.int64) < 0 else "uint8"
    if not np.can_cast(dtype, np.float64, "same_kind"):
        return "complex64"
    return None if np.zeros((), dtype).astype(np.float32) == 0 else "float32"


def own(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return numbers of a registered dtype in one of NumPy's own that holds them; others as they are."""
    dtype = numbers.dtype
    if not is_registered(dtype):
        return numbers
    if is_registered_integer(dtype):
        return numbers.astype(np.int64)
    return numbers.astype(np.float64 if np.can_cast(dtype, np.float64, "same_kind") else np.complex64)


def holds(dtype: np.dtype[Any], values: NDArray[Any], cast: NDArray[Any]) -> Any:
    """Say of each number whether a registered dtype holds it, floats rounded, or casting has made another one of it.

    Parameters
    ----------
    dtype : dtype
        Integers of 1 to 4 bits wrap, the floats of 4 and 6 bits saturate, float8_e8m0fnu has no 0, and many floats have
        no infinity or no NaN.
    values : ndarray
        Of a dtype of NumPy's own.
    cast : ndarray
        The numbers as the dtype has them.

    Returns
    -------
    ndarray of bool, or bool
        Of the same shape.
    """
    wanted, got = values.astype(np.complex128), cast.astype(np.complex128)
    if is_registered_integer(dtype):
        return wanted == got
    near = ~(abs(wanted) > 1) | ~(abs(wanted - got) > abs(got) / 3)
    same = (wanted == got) | (np.isnan(wanted) & np.isnan(got))
    return np.where((wanted == 0) | ~np.isfinite(wanted), same, near)


def strided(x: NDArray[Any], shape: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[Any]:
    """Return a read-only view of an array's memory with another shape and other strides.

    `np.lib.stride_tricks.as_strided` asks for the dtype by its letters, by which NumPy does not know every registered
    one; of those it is shown the bytes.
    """
    seen = x.view(f"V{x.itemsize}") if is_registered(x.dtype) else x
    view = np.lib.stride_tricks.as_strided(seen, shape, strides, writeable=False)
    return view.view(x.dtype) if seen is not x else view


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in the machine's own byte order."""
    return dtype if dtype.byteorder in "=|" else dtype.newbyteorder("=")


def sum_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of ``np.sum`` over an array of `dtype`: small integers grow."""
    return np.asarray(np.add.reduce(np.empty(0, dtype))).dtype


def check_output(
    out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: Sequence[NDArray[Any]]
) -> NDArray[Any]:
    """Return `out` as a plain array if the result can be written to it, and say why where it cannot.

    Parameters
    ----------
    out : ndarray
        The user's array; any strides.
    shape, dtype
        The result's.
    inputs : sequence of ndarray
        Arrays that are read while `out` is written.

    Raises
    ------
    OutputError
        If `out` is no ndarray, has another shape or dtype, is read-only, or shares memory with itself or an input.
    """
    if type(out) is np.ndarray and out.shape == shape and out.dtype == dtype and out.flags.carray:
        for x in inputs:
            if np.may_share_memory(out, x):
                break
        else:
            return out  # all but the rare call
    problem = _problem_of(out, shape, dtype, inputs)
    if problem is not None:
        raise OutputError(f"out {problem}")
    return np.asarray(out)


def _problem_of(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: Sequence[NDArray[Any]]) -> str | None:
    """Return what is wrong with an `out`, and what to pass instead."""
    if type(out) is not np.ndarray and (not is_a(out, np.ndarray) or is_a(out, (np.ma.MaskedArray, np.matrix))):
        return f"is a {class_of(out)}; pass an ndarray"
    out = np.asarray(out)  # what a subclass says of itself does not matter
    if out.shape != shape:
        return f"has shape {out.shape} but the result has {shape}; pass np.empty({shape}, {str(dtype)!r})"
    if out.dtype != dtype:
        return (
            f"has dtype {shortened(str(out.dtype))} but the result has {dtype}; pass np.empty({shape}, {str(dtype)!r})"
        )
    flags = out.flags
    if not flags.writeable:
        return "is read-only; pass a writeable array"
    if overlaps_itself(out):
        return "has elements that share memory; pass np.empty of the result's shape"
    for x in inputs:
        if np.may_share_memory(out, x) and overlap(out, x):  # the first compares ranges of addresses
            return "shares memory with an input, which would be overwritten while it is read; pass another array"
    return None


def overlaps_itself(out: NDArray[Any]) -> bool:
    """Whether strides do not nest: slices and transposes of an ordinary array always do."""
    if out.flags.c_contiguous:  # of an empty array, whatever its strides
        return False
    reach = out.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(out.strides, out.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (n - 1)
    return False


def overlap(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays share elements, or it is too hard to say."""
    try:
        return bool(np.shares_memory(a, b, max_work=10_000))  # type: ignore[arg-type]  # NumPy's stub knows -1 and 0 only
    except np.exceptions.TooHardError:
        return True
