"""Calls that come again: what is remembered of a public operation, so that its arrays are all that is looked at."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine import compiler
from ..engine.threads import resolve_threads
from ..memory import NOTHING, keep, recall, told_apart
from ..spec.quantization import are_small

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from .operation import Work

    Array = NDArray[Any]
    Check = Callable[[Any, Any, Any, Any, dict[str, Any]], tuple[Work, Sequence[Array]]]

_SEEN = object()
"""Stands for a call that was made once."""


class OneCall(NamedTuple):
    """How a kind of call is one call of the engine.

    Parameters
    ----------
    result : callable
        ``result(out, inputs)`` returns where the result goes, after a look at the memory.
    run : callable
        ``run(out, *arrays)`` overwrites `out`.
    threads : int or None
        How many it is for; None where any number will do, or where the kind tells.
    """

    result: Callable[[Array | None, Sequence[Array]], Array]
    run: Callable[..., None]
    threads: int | None


Look = Callable[[], "OneCall | None"]
"""A longer look at a call that was made, which is worth its time if such calls come again."""


def run_again(
    kind: Hashable | None,
    arrays: tuple[Any, ...],
    out: Any,
    threads: int | None,
    first: Callable[..., tuple[Array, Look]],
    *arguments: Any,
) -> Array:
    """Run a call as those of its kind are known to run.

    Parameters
    ----------
    kind : hashable or None
        All that its way depends on, beside the number of threads; None where that is not plain to see.
    arrays : tuple
        What `OneCall.run` takes; the first two, or the only one, are inputs that the result must not overwrite.
    out : ndarray or None
    threads : int or None
    first : callable
        ``first(arrays, out, *arguments)`` runs it with all arguments checked, for calls of which nothing is known.
    """
    known = NOTHING if kind is None else recall(kind)
    if type(known) is OneCall and (known.threads is None or known.threads == resolve_threads(threads)):
        result = known.result(out, arrays[:2])
        known.run(result, *arrays)
        return result if out is None else out
    result, look = first(arrays, out, *arguments)
    if kind is not None and known is not None:
        keep(kind, _SEEN if known is NOTHING else look())
    return result


def run_once(
    what: Hashable,
    x: Any,
    w: Any,
    bias: Any,
    out: Any,
    options: dict[str, Any],
    check: Check,
) -> Array:
    """Run an operation on the arrays of a public call, with all arguments checked unless this kind of call is known.

    Parameters
    ----------
    what : hashable
        Whose call it is.
    x, w, bias : array_like
        Two operands, and a bias or None.
    out : ndarray or None
    options : dict
        All other arguments by their names.
    check : callable
        ``check(what, x, w, bias, options)`` returns the operation with its weights, and the operands that it is run on.
    """
    kind: Any = None
    if type(x) is type(w) is np.ndarray and (out is None or type(out) is np.ndarray):
        plain = told_apart(tuple(options.values()))
        if plain is not None and (bias is None or type(bias) is np.ndarray):
            kind = what, *kind_of(x, w, bias), out is not None and out.strides, plain, *options
    return run_again(kind, (x, w, bias), out, options.get("threads"), first_run, what, options, check)


def kind_of(x: Array, w: Array, bias: Array | None) -> tuple[Hashable, ...]:
    """Return all of an operation's arrays that its way depends on, and the engine's state."""
    # Which instruction multiplies bytes depends on the weights' values.
    small = x.dtype.itemsize == w.dtype.itemsize == 1 and are_small(w)
    given = bias is not None and (bias.shape, bias.strides, bias.dtype)
    return x.shape, x.strides, x.dtype, w.shape, w.strides, w.dtype, small, given, compiler.condition()


def first_run(
    arrays: tuple[Any, Any, Any], out: Any, what: Hashable, options: dict[str, Any], check: Check
) -> tuple[Array, Look]:
    """Run an operation that is not known, and return the result and what would be known of it; arguments as above."""
    x, w, bias = arrays
    work, operands = check(what, x, w, bias, options)
    result = work.run(operands, out)
    return result, partial(_one_call, work, (x, w), bias, operands, result)


def _one_call(
    work: Work, given: tuple[Array, Array], bias: Array | None, operands: Sequence[Array], out: Array
) -> OneCall | None:
    """Return how an operation that was run is one call of the engine, or None where it is not."""
    used: Any = (*operands, *work.weights)
    if used[0] is not given[0] or used[1] is not given[1]:
        return None  # what is computed with is not what was given
    if bias is not None and (used[2].dtype, used[2].strides) != (bias.dtype, bias.strides):
        return None  # nor is the copy of a bias like it
    run = work.operation.one_call(operands, work.weights, out)
    operation = work.operation
    return None if run is None else OneCall(operation.result, run, None if run.any_threads else operation.threads)
