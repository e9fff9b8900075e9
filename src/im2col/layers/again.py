"""Calls that come again: what is remembered of a public operation, so that its arrays are all that is looked at."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine import compiler
from ..engine.sequence import address_of
from ..engine.threads import resolve_threads
from ..memory import NOTHING, keep, nbytes_of, recall, told_apart
from ..spec.quantization import are_small

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from .operation import Work

    Array = NDArray[Any]
    Check = Callable[[Any, Any, Any, Any, dict[str, Any]], tuple[Work, Sequence[Array]]]

_SEEN = object()
"""Stands for a call that was made once."""
_BY_WEIGHTS = object()
"""Stands for calls that run as the values of their weights let them: each kernel makes a kind of its own."""
_KERNEL_BYTES = 16 << 10
"""Of weights that make a kind of call, at most: to look at longer ones takes as long as it saves."""
_PREPARED_BYTES = 1 << 20
"""Of what is made of such weights, at most: it is kept with their kind."""


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
    by_weights : bool
        Whether it is for weights of these values alone, of which it keeps what is made.
    """

    result: Callable[[Array | None, Sequence[Array]], Array]
    run: Callable[..., None]
    threads: int | None
    by_weights: bool = False


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
        What `OneCall.run` takes; the first two, or the only one, are inputs that the result must not overwrite. The
        second are the weights, if there are any.
    out : ndarray or None
    threads : int or None
    first : callable
        ``first(arrays, out, *arguments)`` runs it with all arguments checked, for calls of which nothing is known.
    """
    known = NOTHING if kind is None else recall(kind)
    by_weights = known is _BY_WEIGHTS
    if by_weights:
        kind = kind, arrays[1].tobytes()
        known = recall(kind)
    if type(known) is OneCall and (known.threads is None or known.threads == resolve_threads(threads)):
        result = known.result(out, arrays[:2])
        known.run(result, *arrays)
        return result if out is None else out
    result, look = first(arrays, out, *arguments)
    if kind is None or known is None:
        return result
    found = _SEEN if known is NOTHING else look()
    if type(found) is OneCall and found.by_weights and not by_weights:
        keep(kind, _BY_WEIGHTS)
        kind = kind, arrays[1].tobytes()
    keep(kind, found)
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
    arrays: tuple[Any, Any, Any],
    out: Any,
    what: Hashable,
    options: dict[str, Any],
    check: Check,
    *,
    as_given: bool = True,
) -> tuple[Array, Look]:
    """Run an operation that is not known, and return the result and what would be known of it; arguments as above.

    `as_given` says whether calls of its kind are made with such arrays, and not with what these are views of.
    """
    x, w, bias = arrays
    work, operands = check(what, x, w, bias, options)
    result = work.run(operands, out)
    return result, partial(_one_call, work, (x, w), bias, operands, result, as_given)


def _one_call(
    work: Work,
    given: tuple[Array, Array],
    bias: Array | None,
    operands: Sequence[Array],
    out: Array,
    as_given: bool,
) -> OneCall | None:
    """Return how an operation that was run is one call of the engine, or None where it is not."""
    if work.by_weights:
        return _of_weights(work, given[1]) if as_given and bias is None and operands[0] is given[0] else None
    used: Any = (*operands, *work.weights)
    if not all(map(_lie_together, used, given)):
        return None  # what is computed with is not what was given
    if bias is not None and (used[2].dtype, used[2].strides) != (bias.dtype, bias.strides):
        return None  # nor is the copy of a bias like it
    run = work.operation.one_call(operands, work.weights, out)
    operation = work.operation
    return None if run is None else OneCall(operation.result, run, None if run.any_threads else operation.threads)


def _lie_together(used: Array, given: Array) -> bool:
    """Whether an array is another one, perhaps with more axes: a plain kernel is one filter of one channel."""
    if used is given:
        return True
    # No copy lies where the other one lies.
    return used.dtype == given.dtype and used.size == given.size and address_of(used) == address_of(given)


def _of_weights(work: Work, w: Array) -> OneCall | None:
    """Return how an operation runs with weights of these values, which it keeps prepared; None where that is much."""
    if w.nbytes > _KERNEL_BYTES:
        return None
    filters, *others = work.weights
    operation, prepared = work.operation.prepared((np.array(filters), *others))  # who gave them may overwrite them
    if nbytes_of(prepared) > _PREPARED_BYTES:
        return None

    def run(out: Array, x: Array, _: Array, bias: None = None) -> None:  # noqa: ARG001 (there is none)
        operation.run(prepared, (x,), out)

    return OneCall(operation.result, run, operation.threads, by_weights=True)
