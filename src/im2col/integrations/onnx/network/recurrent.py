"""Recurrent layers: LSTM, GRU and RNN, in both directions, with every attribute of the standard."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import ArgumentError, ShapeError, shown
from .elementwise import sigmoid, softplus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..node import Node

    Array = NDArray[Any]
    Function = Callable[..., Array]

DIRECTIONS = {"forward": (1,), "reverse": (-1,), "bidirectional": (1, -1)}

_ACTIVATIONS: dict[str, tuple[tuple[float | None, float | None], Callable[..., Array]]] = {
    "affine": ((1.0, 0.0), lambda x, a, b: a * x + b),
    "elu": ((1.0, None), lambda x, a: np.where(x >= 0, x, a * np.expm1(np.minimum(x, 0)))),
    "hardsigmoid": ((0.2, 0.5), lambda x, a, b: np.clip(a * x + b, 0, 1)),
    "leakyrelu": ((0.01, None), lambda x, a: np.where(x >= 0, x, a * x)),
    "relu": ((None, None), lambda x: np.maximum(x, 0)),
    "scaledtanh": ((1.0, 1.0), lambda x, a, b: a * np.tanh(b * x)),
    "sigmoid": ((None, None), sigmoid),
    "softplus": ((None, None), softplus),
    "softsign": ((None, None), lambda x: x / (1 + np.abs(x))),
    "tanh": ((None, None), np.tanh),
    "thresholdedrelu": ((1.0, None), lambda x, a: np.where(x >= a, x, 0)),
}
"""By name: the defaults of alpha and beta, None where it has none, and the function."""


def _functions(
    names: Sequence[str],
    alphas: Sequence[float] | None,
    betas: Sequence[float] | None,
    clip: float | None,
) -> list[Function]:
    """Return the activations by name: those that take alpha or beta use up the numbers that are given, in order."""
    rest = [list(alphas or []), list(betas or [])]
    found: list[Function] = []
    for name in names:
        if name.lower() not in _ACTIVATIONS:
            raise ArgumentError(f"activations must be out of {sorted(_ACTIVATIONS)}, got {shown(name)}")
        defaults, function = _ACTIVATIONS[name.lower()]
        parameters = [
            given.pop(0) if given else default
            for default, given in zip(defaults, rest, strict=True)
            if default is not None
        ]
        found.append(partial(_applied, function=function, parameters=parameters, clip=clip))
    return found


def _applied(x: Array, *, function: Callable[..., Array], parameters: list[Any], clip: float | None) -> Array:
    if clip is not None:
        x = np.clip(x, -clip, clip)
    return function(x, *parameters)


def lstm(
    node: Node,
    x: Array,
    w: Array,
    r: Array,
    bias: Array | None = None,
    lengths: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    peepholes: Array | None = None,
    *,
    input_forget: int,
    **attributes: Any,
) -> tuple[Array, ...]:
    """LSTM."""

    def cell(functions: list[Function], direction: int) -> Any:
        f, g, h = functions
        h = partial(h, clip=None)  # as ONNX Runtime has it, of whose layers models are made
        p_i, p_o, p_f = np.split(np.zeros(3 * r.shape[2], x.dtype) if peepholes is None else peepholes[direction], 3)

        def step(gates: Array, states: tuple[Array, ...], recurrent: Array, _: Array) -> tuple[Array, ...]:
            before, c = states
            i, o, forget, new = np.split(gates + before @ recurrent, 4, axis=1)
            i = f(i + p_i * c)
            forget = 1 - i if input_forget else f(forget + p_f * c)
            c = forget * c + i * g(new)
            return f(o + p_o * c) * h(c), c

        return step

    return _run(
        node, x, w, r, bias, lengths, (initial_h, initial_c), cell, 4, ("Sigmoid", "Tanh", "Tanh"), **attributes
    )


def gru(
    node: Node,
    x: Array,
    w: Array,
    r: Array,
    bias: Array | None = None,
    lengths: Array | None = None,
    initial_h: Array | None = None,
    *,
    linear_before_reset: int,
    **attributes: Any,
) -> tuple[Array, ...]:
    """GRU."""

    def cell(functions: list[Function], _: int) -> Any:
        f, g = functions

        def step(gates: Array, states: tuple[Array, ...], recurrent: Array, after: Array) -> tuple[Array, ...]:
            (before,) = states
            n = before.shape[1]
            opened = f(gates[:, : 2 * n] + before @ recurrent[:, : 2 * n] + after[: 2 * n])
            update, reset = opened[:, :n], opened[:, n:]
            if linear_before_reset:
                inner = reset * (before @ recurrent[:, 2 * n :] + after[2 * n :])
            else:
                inner = (reset * before) @ recurrent[:, 2 * n :] + after[2 * n :]
            return ((1 - update) * g(gates[:, 2 * n :] + inner) + update * before,)

        return step

    return _run(node, x, w, r, bias, lengths, (initial_h,), cell, 3, ("Sigmoid", "Tanh"), **attributes)


def rnn(
    node: Node,
    x: Array,
    w: Array,
    r: Array,
    bias: Array | None = None,
    lengths: Array | None = None,
    initial_h: Array | None = None,
    **attributes: Any,
) -> tuple[Array, ...]:
    """RNN."""

    def cell(functions: list[Function], _: int) -> Any:
        def step(gates: Array, states: tuple[Array, ...], recurrent: Array, after: Array) -> tuple[Array, ...]:
            return (functions[0](gates + states[0] @ recurrent + after),)

        return step

    return _run(node, x, w, r, bias, lengths, (initial_h,), cell, 1, ("Tanh",), **attributes)


def _run(
    node: Node,
    x: Array,
    w: Array,
    r: Array,
    bias: Array | None,
    lengths: Array | None,
    initial: tuple[Array | None, ...],
    cell: Callable[[list[Function], int], Any],
    gates: int,
    defaults: tuple[str, ...],
    *,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    clip: float | None = None,
) -> tuple[Array, ...]:
    """Run a cell along time, in each direction; return all its outputs, and its last states."""
    if direction not in DIRECTIONS:
        raise ArgumentError(f"direction must be one of {tuple(DIRECTIONS)}, got {shown(direction)}")
    ways = DIRECTIONS[direction]
    if x.ndim != 3 or w.ndim != 3 or r.ndim != 3:
        raise ShapeError(f"X, W and R must have 3 axes each, got shapes {x.shape}, {w.shape} and {r.shape}")
    if layout:
        x = x.swapaxes(0, 1)
        initial = tuple(None if each is None else each.swapaxes(0, 1) for each in initial)
    hidden = r.shape[2]
    (time, batch, size), many = x.shape, gates * hidden
    wanted = {
        "W": (w, (len(ways), many, size)),
        "R": (r, (len(ways), many, hidden)),
        "B": (bias, (len(ways), 2 * many)),
        "sequence_lens": (lengths, (batch,)),
        **{f"initial state {n}": (each, (len(ways), batch, hidden)) for n, each in enumerate(initial)},
    }
    if hidden_size is not None and hidden_size != hidden:
        raise ShapeError(f"hidden_size is {hidden_size}, but R has shape {r.shape}")
    for name, (array, shape) in wanted.items():
        if array is not None and array.shape != shape:
            raise ShapeError(f"{name} must have shape {shape} for X of shape {x.shape}, got {array.shape}")
    count = len(defaults) * len(ways)
    names = list(activations or defaults * len(ways))
    if len(names) < count:
        raise ArgumentError(f"activations must name {count} functions, got {shown(names)}")
    functions = _functions(names[:count], activation_alpha, activation_beta, clip)
    if bias is None:
        bias = np.zeros((len(ways), 2 * many), x.dtype)
    ends = np.full(batch, time) if lengths is None else lengths.astype(np.int64)
    if ends.size and not 0 <= ends.min() <= ends.max() <= time:
        raise ShapeError(f"sequence_lens must be from 0 to {time}, got {shown(ends.tolist())}")
    y = np.zeros((time, len(ways), batch, hidden), x.dtype)
    last = [np.zeros((len(ways), batch, hidden), x.dtype) for _ in initial]
    for number, way in enumerate(ways):
        step = cell(functions[number * len(defaults) :][: len(defaults)], number)
        before, after = bias[number, :many], bias[number, many:]
        if gates == 4:  # whose two biases are one
            before = before + after
        entering = x.reshape(-1, size) @ w[number].T + before
        entering = entering.reshape(time, batch, many)
        states = tuple(np.zeros((batch, hidden), x.dtype) if each is None else each[number] for each in initial)
        recurrent = r[number].T  # no copy: it takes as long as sixty steps
        for t in range(time)[::way]:
            new = step(entering[t], states, recurrent, after)
            alive = (t < ends)[:, None]  # backwards, a short sequence starts at its own end
            if not alive.all():
                new = tuple(np.where(alive, a, b) for a, b in zip(new, states, strict=True))
                y[t, number] = np.where(alive, new[0], 0)
            else:
                y[t, number] = new[0]
            states = new
        for kept, state in zip(last, states, strict=True):
            kept[number] = state
    if layout:
        y, last = y.transpose(2, 0, 1, 3), [each.swapaxes(0, 1) for each in last]
    return (y, *last)[: node.outputs]


RECURRENT: dict[str, Callable[..., Any]] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
