"""Pools for JAX: means, whose gradients are means again, and maxima, which are where the image has them."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np

from ...layers.pooling import average_pool as average_arrays
from ...layers.pooling import max_pool as max_arrays
from ...layers.pooling_gradients import average_pool_input_gradient, max_pool_input_gradient
from .calls import Call, Settings, like, run


def _mean(out: Any, x: Any, **options: Any) -> None:
    average_arrays(x, out=out, **options)


def _mean_back(out: Any, grad: Any, **options: Any) -> None:
    average_pool_input_gradient(grad, out.shape, out=out, **options)


def _maxima(out: Any, x: Any, **options: Any) -> None:
    max_arrays(x, out=out, **options)


def _places(x: Any, options: dict[str, Any]) -> Any:
    return max_arrays(x, return_indices=True, **options)[1]


def _maxima_back(out: Any, x: Any, grad: Any, **options: Any) -> None:
    max_pool_input_gradient(grad, _places(x, options), out.shape, layout=options["layout"], out=out)


def _pick(out: Any, x: Any, values: Any, **options: Any) -> None:
    """Take the values where the image has its maxima, and 0 where a window saw padding alone."""
    spatial = [i for i, letter in enumerate(options["layout"]) if letter not in "NC"]
    last = range(-len(spatial), 0)
    places, pixels = (np.moveaxis(each, spatial, last) for each in (_places(x, options), values))
    lead = places.shape[: places.ndim - len(spatial)]
    flat = places.reshape(*lead, -1)
    picked = np.take_along_axis(pixels.reshape(*lead, -1), np.maximum(flat, 0), -1)
    np.moveaxis(out, spatial, last)[...] = np.where(flat < 0, 0, picked).reshape(places.shape)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def means(settings: Settings, shape: tuple[int, ...], dtype: np.dtype[Any], x: Any) -> Any:
    """Return the means of windows, of `shape`; `settings` are keywords of `im2col.average_pool`."""
    return run(Call(_mean, settings, x.ndim, dtype, images=1), shape, x)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def means_back(settings: Settings, shape: tuple[int, ...], grad: Any) -> Any:
    """Return what means of windows are to their image, of `shape`."""
    return run(Call(_mean_back, settings, grad.ndim, np.dtype(grad.dtype), images=1), shape, grad)


means.defvjp(
    lambda settings, shape, dtype, x: (means(settings, shape, dtype, x), x),
    lambda settings, _, __, x, grad: (like(x, means_back(settings, x.shape, grad)),),
)
means_back.defvjp(
    lambda settings, shape, grad: (means_back(settings, shape, grad), grad),
    lambda settings, _, grad, x: (means(settings, grad.shape, np.dtype(x.dtype), x),),
)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def maxima(settings: Settings, shape: tuple[int, ...], x: Any) -> Any:
    """Return the greatest pixels of windows, of `shape`; `settings` are keywords of `im2col.max_pool`."""
    return run(Call(_maxima, settings, x.ndim, np.dtype(x.dtype), images=1), shape, x)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def maxima_back(settings: Settings, x: Any, grad: Any) -> Any:
    """Return what the greatest pixels of windows are to their image x."""
    return run(Call(_maxima_back, settings, x.ndim, np.dtype(grad.dtype), images=2), x.shape, x, grad)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def picked(settings: Settings, shape: tuple[int, ...], x: Any, values: Any) -> Any:
    """Return the values that lie where the image x has the greatest pixels of windows, of `shape`."""
    return run(Call(_pick, settings, x.ndim, np.dtype(values.dtype), images=2), shape, x, values)


maxima.defvjp(
    lambda settings, shape, x: (maxima(settings, shape, x), x),
    lambda settings, _, x, grad: (like(x, maxima_back(settings, x, grad)),),
)
maxima_back.defvjp(
    lambda settings, x, grad: (maxima_back(settings, x, grad), (x, grad)),
    lambda settings, saved, values: (None, picked(settings, saved[1].shape, saved[0], values)),
)
picked.defvjp(
    lambda settings, shape, x, values: (picked(settings, shape, x, values), x),
    lambda settings, _, x, grad: (None, maxima_back(settings, x, grad)),
)
