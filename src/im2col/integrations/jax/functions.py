"""The operations within JAX's programs: arguments as their namesakes in `im2col` have them, and checked as there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ...errors import ArgumentError, named, shown
from ...layers.convolution import conv as conv_arrays
from ...layers.convolution import convolution
from ...layers.pooled import Window, pooling_of
from ...layers.pooling import average_pool as average_arrays
from ...layers.pooling import max_pool as max_arrays
from ...layers.transpose import conv_transpose as transpose_arrays
from ...layers.transpose import transposition
from ...spec.arguments import is_sequence, plain
from ...spec.problem import keywords, refuse_unknown
from .calls import Settings, as_jax
from .convolutions import Transposition, convolved, transposed
from .pools import maxima, means

if TYPE_CHECKING:
    from ...layers.pooled import Pooling
    from ...spec.transposed import Transposed

_ELSEWHERE = {"out", "activation", "x_zero_point", "w_zero_point"}
"""Keywords of convolutions that these have not: results are JAX's own, and it has the rest."""
_CONV = keywords(conv_arrays) - _ELSEWHERE
_TRANSPOSE = keywords(transpose_arrays) - _ELSEWHERE
_MAXIMA = keywords(max_arrays) - {"out", "return_indices"}
_MEANS = keywords(average_arrays) - {"out"}


@named
def conv(x: Any, w: Any, bias: Any = None, **options: Any) -> Any:
    """Convolve an image with filters: `im2col.conv` within JAX's programs.

    Parameters
    ----------
    x : jax.Array
        The image, or what `jax.jit`, `jax.grad` or `jax.vmap` traces.
    w : jax.Array, (n, C/groups, *kernel)
        The filters.
    bias : jax.Array, (n,), optional
        Added to each output map.
    **options
        Every keyword of `im2col.conv` but `out`, `activation`, `x_zero_point` and `w_zero_point`: constants, not
        traced. An algorithm is that of the convolution; gradients take theirs.

    Returns
    -------
    jax.Array
        Of the shape and bits of ``im2col.conv(x, w, bias, …)``, with gradients of any order for `x`, `w` and `bias`.

    Raises
    ------
    Im2colError
        As `im2col.conv`, while the program is traced.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from im2col.integrations.jax import conv
    >>> x, w = jnp.ones((1, 1, 4, 4)), jnp.ones((1, 1, 3, 3))
    >>> jax.grad(lambda w: conv(x, w, padding=1).sum())(w)[0, 0].tolist()
    [[9.0, 12.0, 9.0], [12.0, 16.0, 12.0], [9.0, 12.0, 9.0]]
    """
    refuse_unknown("conv", options, _CONV)
    _check_constants(options)
    image, filters, terms = _operands(x, w, bias)
    work = convolution(image.shape, image.dtype, _blank(filters), _blank(terms), **options)
    problem = work.operation.choices[0].problem
    settings = options | _window(problem.geometry, problem.layout.axes)
    return convolved(Settings(settings), image, filters, terms)


@named
def conv_transpose(x: Any, w: Any, bias: Any = None, **options: Any) -> Any:
    """Apply the transpose of a convolution: `im2col.conv_transpose` within JAX's programs.

    Parameters
    ----------
    x : jax.Array
        The image, or what `jax.jit`, `jax.grad` or `jax.vmap` traces.
    w : jax.Array, (F, C/groups, *kernel)
        The weights.
    bias : jax.Array, (C,), optional
        Added to each output map.
    **options
        Every keyword of `im2col.conv_transpose` but `out` and `activation`: constants, not traced.

    Returns
    -------
    jax.Array
        Of the shape and bits of ``im2col.conv_transpose(x, w, bias, …)``, with gradients of any order for `x`, `w` and
        `bias`.

    Raises
    ------
    Im2colError
        As `im2col.conv_transpose`, while the program is traced; for an `output_padding` of the stride or more.
    """
    refuse_unknown("conv_transpose", options, _TRANSPOSE)
    _check_constants(options)
    image, weights, terms = _operands(x, w, bias)
    work = transposition(image.shape, image.dtype, _blank(weights), _blank(terms), **options)
    t: Transposed = work.operation.spec[0]
    window = {"stride": t.stride, "dilation": t.dilation, "layout": t.layout.axes}
    forward: dict[str, Any] = window | {"padding": _padding_of_the_forward(t)}
    forward |= {name: value for name, value in options.items() if name in {"groups", "flip", "precision", "threads"}}
    what = Transposition(Settings(options | window), Settings(forward), t.output_shape, t.dtype)
    return transposed(what, image, weights, terms)


@named
def max_pool(x: Any, kernel_size: Any, **options: Any) -> Any:
    """Return the greatest pixel of each window: `im2col.max_pool` within JAX's programs.

    Parameters
    ----------
    x : jax.Array
        The image, or what `jax.jit`, `jax.grad` or `jax.vmap` traces.
    kernel_size : int or tuple of int
    **options
        Every keyword of `im2col.max_pool` but `out` and `return_indices`: constants, not traced.

    Returns
    -------
    jax.Array
        As ``im2col.max_pool(x, …)``. A gradient goes to the first of several greatest pixels.

    Raises
    ------
    Im2colError
        As `im2col.max_pool`, while the program is traced.
    """
    refuse_unknown("max_pool", options, _MAXIMA)
    _check_constants({"kernel_size": kernel_size, **options})
    image = as_jax("x", x)
    pooling = _pooling(image, "maximum", kernel_size, options)
    return maxima(Settings(_pool_window(pooling, options)), pooling.shape, image)


@named
def average_pool(x: Any, kernel_size: Any, **options: Any) -> Any:
    """Return the mean of each window: `im2col.average_pool` within JAX's programs.

    Parameters
    ----------
    x : jax.Array
        The image, or what `jax.jit`, `jax.grad` or `jax.vmap` traces.
    kernel_size : int or tuple of int
    **options
        Every keyword of `im2col.average_pool` but `out`: constants, not traced.

    Returns
    -------
    jax.Array
        As ``im2col.average_pool(x, …)``; means of integers in float32, unless JAX was told to have float64.

    Raises
    ------
    Im2colError
        As `im2col.average_pool`, while the program is traced.
    """
    refuse_unknown("average_pool", options, _MEANS)
    _check_constants({"kernel_size": kernel_size, **options})
    image = as_jax("x", x)
    pooling = _pooling(image, "mean", kernel_size, options)
    return means(Settings(_pool_window(pooling, options)), pooling.shape, pooling.dtype, image)


def _check_constants(options: dict[str, Any]) -> None:
    """Refuse what JAX traces: a program is made for one value of each.

    Raises
    ------
    ArgumentError
    """
    for name, value in options.items():
        if _is_traced(value):
            raise ArgumentError(
                f"{name} must be a constant, and is traced by JAX, {shown(value)}; name it in static_argnames of "
                "jax.jit, or let the function find it outside of its arguments"
            )


def _is_traced(value: Any) -> bool:
    return isinstance(value, jax.core.Tracer) or (is_sequence(value) and any(map(_is_traced, plain(value))))


def _operands(x: Any, w: Any, bias: Any) -> tuple[Any, Any, Any]:
    return as_jax("x", x), as_jax("w", w), None if bias is None else as_jax("bias", bias)


def _blank(array: Any) -> Any:
    """Return zeros of an array's shape and dtype, which take no memory, to check it by; None for None."""
    return None if array is None else np.broadcast_to(np.zeros((), array.dtype), array.shape)


def _window(geometry: Any, layout: str) -> dict[str, Any]:
    """Return the window of a layer as its gradients take it, too: with padding in numbers."""
    return {
        "stride": geometry.stride,
        "padding": geometry.padding,
        "dilation": geometry.dilation,
        "layout": layout,
    }


def _padding_of_the_forward(t: Transposed) -> tuple[tuple[int, int], ...]:
    """Return the padding with which the convolution of the result has as many stops as there are pixels.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    pads = []
    for n, image, k, s, d, before in zip(
        t.spatial_shape, t.image, t.kernel_size, t.stride, t.dilation, t.before, strict=True
    ):
        missing = (n - 1) * s + d * (k - 1) + 1 - image - before
        if missing <= -s:
            raise ArgumentError(
                f"output_padding leaves {-missing} pixels that no window reaches, which needs a stride of more, got "
                f"{s}; pad the result with jax.numpy.pad"
            )
        pads.append((before, max(0, missing)))
    return tuple(pads)


def _pooling(image: Any, reduction: Any, kernel_size: Any, options: dict[str, Any]) -> Pooling:
    window = Window(kernel_size, **{name: options[name] for name in Window._fields if name in options})
    return pooling_of(_blank(image), reduction, window, options.get("layout"))


def _pool_window(pooling: Pooling, options: dict[str, Any]) -> dict[str, Any]:
    g = pooling.pool.geometry
    given = {"kernel_size": g.kernel_size, "stride": g.stride, "dilation": g.dilation, "layout": pooling.axes.axes}
    return options | given
