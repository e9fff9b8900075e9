"""Convolutions for JAX: three forms that are linear in each operand, whose gradients are one another.

With an image x, weights w and a result g of them, ``sum g · conv(x, w)`` is linear in all three. The convolution gives
what belongs to g, `spread` what belongs to x, `collect` what belongs to w. JAX's gradients transpose without
conjugating, the library's adjoints conjugate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...layers.convolution import conv as conv_arrays
from ...layers.input_gradient import conv_input_gradient
from ...layers.transpose import conv_transpose as transpose_arrays
from ...layers.weight_gradient import conv_weight_gradient
from ...spec.problem import keywords, make_problem, result_dtype
from .calls import Call, Settings, like, run

_SHAPING = frozenset(("stride", "padding", "dilation", "groups", "padding_mode", "layout", "flip"))
_OF_SHAPES = _SHAPING | {"padding_value", "dtype", "precision", "workspace_limit", "chunked"}
_SPREADING = keywords(conv_input_gradient) - {"dtype", "algorithm"}
_COLLECTING = keywords(conv_weight_gradient) - {"dtype", "algorithm"}
_AGAIN = keywords(conv_arrays) - {"padding_value", "dtype", "algorithm"}


def _conv(out: Any, x: Any, w: Any, bias: Any = None, **options: Any) -> None:
    conv_arrays(x, w, bias, out=out, **options)


def _transpose(out: Any, x: Any, w: Any, bias: Any = None, **options: Any) -> None:
    transpose_arrays(x, w, bias, out=out, **options)


def _spread(out: Any, grad: Any, w: Any, **options: Any) -> None:
    conv_input_gradient(grad, w, out.shape, out=out, **options)


def _collect(out: Any, x: Any, grad: Any, **options: Any) -> None:
    conv_weight_gradient(x, grad, out.shape[2:], out=out, **options)


def _given(bias: Any) -> tuple[Any, ...]:
    return () if bias is None else (bias,)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolved(settings: Settings, x: Any, w: Any, bias: Any) -> Any:
    """Return the convolution of an image, with a bias or None; `settings` are keywords of `im2col.conv`."""
    shaping = settings.only(_OF_SHAPES).given
    problem = make_problem(x.shape, w.shape, x.dtype, w.dtype, has_bias=bias is not None, **shaping)
    call = Call(_conv, settings, x.ndim, problem.dtype, images=1)
    return run(call, problem.output_shape, x, w, *_given(bias))


def _convolved_back(settings: Settings, saved: tuple[Any, Any, Any], grad: Any) -> tuple[Any, Any, Any]:
    x, w, bias = saved
    of_x = spread(settings.only(_SPREADING), x.shape, grad, w)
    of_w = collect(settings.only(_COLLECTING), w.shape, x, grad)
    return like(x, of_x), like(w, of_w), _of_bias(settings, bias, grad)


def _of_bias(settings: Settings, bias: Any, grad: Any) -> Any:
    if bias is None:
        return None
    axes = tuple(i for i, letter in enumerate(settings.given["layout"]) if letter != "C")
    return like(bias, grad.sum(axes).reshape(bias.shape))


convolved.defvjp(lambda settings, x, w, bias: (convolved(settings, x, w, bias), (x, w, bias)), _convolved_back)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def spread(settings: Settings, shape: tuple[int, ...], grad: Any, w: Any) -> Any:
    """Return what a convolution's result is to its image, of `shape`: the transpose of the convolution."""
    dtype = result_dtype(grad.dtype, w.dtype, None)
    call = Call(_spread, settings, len(shape), np.dtype(dtype), images=1)
    return run(call, shape, grad, jnp.conj(w))


def _spread_back(settings: Settings, _: tuple[int, ...], saved: tuple[Any, Any], x: Any) -> tuple[Any, Any]:
    grad, w = saved
    of_w = collect(settings.only(_COLLECTING), w.shape, x, grad)
    return like(grad, convolved(settings.only(_AGAIN), x, w, None)), like(w, of_w)


spread.defvjp(lambda settings, shape, grad, w: (spread(settings, shape, grad, w), (grad, w)), _spread_back)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def collect(settings: Settings, shape: tuple[int, ...], x: Any, grad: Any) -> Any:
    """Return what an image and a convolution's result are to its weights, of `shape`."""
    dtype = result_dtype(x.dtype, grad.dtype, None)
    call = Call(_collect, settings, len(shape), np.dtype(dtype), images=0)
    # Not the image is conjugated: a padding value, which is one of its pixels, would have to be, too.
    return jnp.conj(run(call, shape, x, jnp.conj(grad)))


def _collect_back(settings: Settings, _: tuple[int, ...], saved: tuple[Any, Any], w: Any) -> tuple[Any, Any]:
    x, grad = saved
    return like(x, spread(settings.only(_SPREADING), x.shape, grad, w)), like(grad, convolved(settings, x, w, None))


collect.defvjp(lambda settings, shape, x, grad: (collect(settings, shape, x, grad), (x, grad)), _collect_back)


@dataclass(frozen=True)
class Transposition:
    """A transposed convolution.

    Parameters
    ----------
    settings : Settings
        Keywords of `im2col.conv_transpose`.
    forward : Settings
        Those of the convolution that it is the transpose of.
    shape : tuple of int
    dtype : dtype
        Of the result.
    """

    settings: Settings
    forward: Settings
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def transposed(what: Transposition, x: Any, w: Any, bias: Any) -> Any:
    """Return the transposed convolution of an image, with a bias or None."""
    call = Call(_transpose, what.settings, x.ndim, what.dtype, images=1)
    return run(call, what.shape, x, w, *_given(bias))


def _transposed_back(what: Transposition, saved: tuple[Any, Any, Any], grad: Any) -> tuple[Any, Any, Any]:
    x, w, bias = saved
    of_w = collect(what.forward.only(_COLLECTING), w.shape, grad, x)
    return like(x, convolved(what.forward, grad, w, None)), like(w, of_w), _of_bias(what.forward, bias, grad)


transposed.defvjp(lambda what, x, w, bias: (transposed(what, x, w, bias), (x, w, bias)), _transposed_back)
