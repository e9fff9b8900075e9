"""Calls of the library as operations of JAX's programs: over JAX's own buffers, one by one or many images together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.buffer_callback import buffer_callback

from ...errors import DTypeError
from ...memory import told_apart
from ...spec.arrays import as_array
from ...spec.foreign import check_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]


class Settings:
    """Keywords of a layer, equal to others that say the same, so that a program is compiled once for all of them.

    Parameters
    ----------
    given : mapping of str to object
        With the layout among them.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = dict(sorted(given.items()))
        told = told_apart(tuple(self.given.values()))
        self._key: Hashable = (*self.given, object() if told is None else told)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def only(self, names: frozenset[str]) -> Settings:
        """Return those of some names."""
        return Settings({name: value for name, value in self.given.items() if name in names})


@dataclass(frozen=True)
class Call:
    """A call of the library as JAX's program holds it, and runs it when its operands have numbers.

    Parameters
    ----------
    function : callable
        ``function(out, *operands, **keywords)`` overwrites `out`.
    settings : Settings
        The keywords.
    ndim : int
        Axes of the result; whatever axes it has before them come from `jax.vmap`.
    dtype : dtype
        In which `function` writes.
    images : int
        How many operands, the first ones, are images of the settings' layout, as the result is: several of them may be
        one batch. 0 if the result is of all images together.
    """

    function: Callable[..., Any]
    settings: Settings = field(repr=False)
    ndim: int
    dtype: np.dtype[Any]
    images: int

    def __call__(self, _: Any, out: Any, *operands: Any) -> None:
        """Run it over buffers: `vmap` puts an axis before those of all operands, of length 1 where it has none."""
        result, *arrays = map(np.asarray, (out, *operands))
        lead = result.ndim - self.ndim
        if not lead:
            self._run(result, arrays, self.settings.given)
        elif self._are_one_batch([each.shape[:lead] for each in arrays]):
            self._run_together(result, arrays, lead)
        else:
            for place in np.ndindex(result.shape[:lead]):
                parts = [each[tuple(i % n for i, n in zip(place, each.shape, strict=False))] for each in arrays]
                self._run(result[place], parts, self.settings.given)

    def _run(self, out: Array, arrays: list[Array], keywords: Mapping[str, Any]) -> None:
        made = out if out.dtype == self.dtype else np.empty(out.shape, self.dtype)
        self.function(made, *arrays, **keywords)
        if made is not out:  # JAX has no 64 bits, unless it was told to
            with np.errstate(all="ignore"):
                out[...] = made

    def _are_one_batch(self, leads: list[tuple[int, ...]]) -> bool:
        """Whether images of `vmap` can be one batch: what else there is, weights, is the same for all of them."""
        layout = self.settings.given["layout"]
        shared = all(math.prod(each) == 1 for each in leads[self.images :])
        return self.images > 0 and shared and layout.find("N") < 1

    def _run_together(self, result: Array, arrays: list[Array], lead: int) -> None:
        layout = self.settings.given["layout"]
        shape, inner = result.shape[:lead], lead + layout.startswith("N")

        def batch(each: Array) -> Array:
            whole = np.broadcast_to(each, (*shape, *each.shape[lead:]))
            count = math.prod(whole.shape[:inner])
            return whole.reshape(count, *whole.shape[inner:])

        images = [batch(each) for each in arrays[: self.images]]
        others = [each.reshape(each.shape[lead:]) for each in arrays[self.images :]]
        out = result.reshape(math.prod(result.shape[:inner]), *result.shape[inner:])
        self._run(out, images + others, {**self.settings.given, "layout": "N" + layout.removeprefix("N")})


def run(call: Call, shape: tuple[int, ...], *operands: Any) -> Any:
    """Return the result of a call, of `shape`, which JAX makes when it runs.

    Its dtype is the call's, or what JAX has instead.
    """
    result = jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(call.dtype))
    return buffer_callback(call, result, vmap_method="expand_dims")(*operands)


def as_jax(name: str, value: Any) -> Any:
    """Return an argument as an array of JAX, traced or not.

    Raises
    ------
    DTypeError, MemoryBudgetError
        As `as_array`; for an array that is on another device.
    """
    if not isinstance(value, jax.Array):  # nor traced
        return jnp.asarray(as_array(name, value))
    if not isinstance(value, jax.core.Tracer):
        check_whole(name, value)  # and not `as_array`, which would wait for the numbers
    if jnp.issubdtype(value.dtype, jax.dtypes.extended):
        raise DTypeError(
            f"{name} has dtype {value.dtype}, which is not a number; convert it first, as in "
            f"jax.random.key_data({name})"
        )
    return value


def like(primal: Any, gradient: Any) -> Any:
    """Return a gradient in the dtype of what it is the gradient of; None where that has none."""
    if not jnp.issubdtype(primal.dtype, jnp.inexact):
        return None
    real = jnp.iscomplexobj(gradient) and not jnp.iscomplexobj(primal)
    return (gradient.real if real else gradient).astype(primal.dtype)
