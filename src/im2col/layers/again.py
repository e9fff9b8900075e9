"""Calls that come again: what is remembered of a public operation, so that its arrays are all that is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine import compiler
from ..engine.threads import resolve_threads
from ..memory import NOTHING, keep, recall, told_apart
from ..spec.quantization import are_small

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

    from ..algorithms.contract import AtOnce
    from .operation import Operation, Work

    Array = NDArray[Any]

_SEEN = object()
"""Stands for a call that was made once."""


class _OneCall(NamedTuple):
    """How a kind of call is one call of the engine; see `Operation.one_call`."""

    operation: Operation
    run: AtOnce


def run_once(
    what: Hashable,
    x: Any,
    w: Any,
    bias: Any,
    out: Any,
    options: dict[str, Any],
    check: Callable[..., tuple[Work, Sequence[Array]]],
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
        kind = _kind(what, x, w, bias, out, options)
    known = NOTHING if kind is None else recall(kind)
    if type(known) is _OneCall:
        operation, run = known
        if run.any_threads or operation.threads == resolve_threads(options.get("threads")):
            result = operation.result(out, (x, w))
            run(result, x, w, bias)
            return result if out is None else out
    work, operands = check(what, x, w, bias, options)
    result = work.run(operands, out)
    if kind is not None and known is not None:
        # A call that comes again is worth a longer look.
        keep(kind, _SEEN if known is NOTHING else _one_call(work, (x, w), bias, operands, result))
    return result


def _kind(what: Hashable, x: Array, w: Array, bias: Any, out: Array | None, options: dict[str, Any]) -> Hashable | None:
    """Return what the way of a call depends on, beside the number of threads; None where that is not plain to see."""
    plain = told_apart(tuple(options.values()))
    if plain is None or not (bias is None or type(bias) is np.ndarray):
        return None
    arrays = x.shape, x.strides, x.dtype, w.shape, w.strides, w.dtype
    # Which instruction multiplies bytes depends on the weights' values.
    small = x.dtype.itemsize == w.dtype.itemsize == 1 and are_small(w)
    given = bias is not None and (bias.shape, bias.strides, bias.dtype), out is not None and out.strides
    return what, *arrays, small, *given, compiler.condition(), plain, *options


def _one_call(
    work: Work, given: tuple[Array, Array], bias: Array | None, operands: Sequence[Array], out: Array
) -> _OneCall | None:
    """Return how an operation that was run is one call of the engine, or None where it is not."""
    used: Any = (*operands, *work.weights)
    if used[0] is not given[0] or used[1] is not given[1] or (bias is not None and used[2].dtype != bias.dtype):
        return None  # what is computed with is not what was given
    run = work.operation.one_call(operands, work.weights, out)
    return None if run is None else _OneCall(work.operation, run)
