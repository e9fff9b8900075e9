"""The way back of the greatest pixels: each number goes to the place that its index tells, of its own channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.compiler import Kernel, load
from ...engine.sequence import address_of
from ...importing import importing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...engine.target import Target

    Array = NDArray[Any]


def scatter(values: Array, indices: Array, out: Array, *, add: bool) -> None:
    """Put numbers in their places, or add them there; all else is 0.

    Parameters
    ----------
    values : ndarray, (N, C, positions)
        Of out's dtype; C-contiguous.
    indices : ndarray of int64, (N, C, positions)
        Less than the pixels of a plane; those that are less than 0 have no place. C-contiguous.
    out : ndarray, (N, C, pixels)
        Overwritten; C-contiguous.
    add : bool
        Whether numbers with one place are added up; else the last one stays.
    """
    out[...] = 0
    batch, channels, pixels = out.shape
    function = _kernel(out.dtype, add=add) if values.size else None
    if function is not None:
        function(*map(address_of, (values, indices, out)), batch * channels, indices.shape[2], pixels)
        return
    planes = np.arange(batch * channels).reshape(batch, channels, 1) * pixels
    there = indices >= 0
    flat, places = out.reshape(-1), (planes + indices)[there]
    if add:
        np.add.at(flat, places, values[there])
    else:
        flat[places] = values[there]


def workspace_bytes(count: int, dtype: np.dtype[Any], *, add: bool) -> int:
    """Return the bytes that it takes for so many numbers beside its arrays, at most."""
    return 0 if _kernel(dtype, add=add) is not None else count * (4 * 8 + dtype.itemsize)


def _kernel(dtype: np.dtype[Any], *, add: bool) -> Callable[..., None] | None:
    """Return the kernel for a dtype; None where there is none."""
    name = _name(dtype, add=add)
    return None if name is None else load(Kernel("pool_scatter", _build, (name, add), 6))


def _name(dtype: np.dtype[Any], *, add: bool) -> str | None:
    """Return what the kernel calls a dtype; None where it has no word for it."""
    if add:
        return f"{dtype.kind}{dtype.itemsize}" if dtype.kind in "iuf" and 4 <= dtype.itemsize <= 8 else None
    return f"i{dtype.itemsize}" if dtype.itemsize in (1, 2, 4, 8) else None


def _build(name: str, _target: Target, number: str, add: bool) -> str:
    """Return the kernel: position by position, of each plane."""
    with importing:
        from ...engine.builder import Builder

    b = Builder(name, "*values *indices *out planes positions pixels")
    kind, size = b.number(number), b.bytes_of(number)
    with b.loop(b["planes"]) as plane:
        first = b.mul(plane, b["positions"])
        out = b.at(b["*out"], b.mul(b.mul(plane, b["pixels"]), size))
        with b.loop(b["positions"]) as i:
            position = b.add(first, i)
            index = b.entry(b["*indices"], position)
            with b.only_if(b.inside(index, b["pixels"]), []):
                value = b.load(b.at(b["*values"], b.mul(position, size)), kind)
                place = b.at(out, b.mul(index, size))
                b.store(b.sum(number, b.load(place, kind), value) if add else value, place)
    return b.finish()
