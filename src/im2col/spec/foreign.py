"""Arrays of other packages that NumPy would take, but not all of: what they lie on, and what their numbers mean."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ..errors import DTypeError, MemoryBudgetError, class_of, format_bytes, shown
from .arguments import is_a

_MEMORY = ("__array_interface__", "__dlpack__", "__buffer__")
"""What says that an object's numbers are in memory."""
_STORED = ("__dask_graph__", "chunks", "chunking", "chunk_layout")
"""What those of dask, Zarr, h5py, netCDF4 and TensorStore have, which are not."""
_UNITS = (("units", "magnitude"), ("units", "value"), ("unit", "value"))
"""What classes of numbers with a unit call the unit and the numbers: pint's, unyt's, astropy's."""


def check_whole(name: str, value: Any) -> None:
    """Refuse an array that is read or computed as it is converted, and one of which numbers are not all.

    Parameters
    ----------
    name : str
        What an error names.
    value : object
        Anything but a plain ndarray.

    Raises
    ------
    MemoryBudgetError
        For what lies on a disk, or is computed when it is asked for, of whatever size.
    DTypeError
        For masked arrays, groups of arrays, numbers with a unit, and images whose pixels are places in a palette.
    """
    if is_a(value, np.ma.MaskedArray):
        raise DTypeError(f"{name} is a masked array, whose mask would be lost; fill it first, as in {name}.filled(0)")
    kind = type(value)
    if hasattr(kind, "keys") and not hasattr(kind, "shape"):  # what is read of a group, or of an .npz, are its names
        package = kind.__module__.partition(".")[0]
        raise DTypeError(
            f"{name} is the {package} {class_of(value)}, which holds arrays by their names; pass one of them"
        )
    held = wrapped(value)
    for unit, numbers in _UNITS:
        if all(hasattr(type(held), each) for each in (unit, numbers)) and (told := _unit(held, unit)) is not None:
            where = name if held is value else f"{name}.data"
            raise DTypeError(
                f"{name} has the unit {shown(told)}, which would be lost; pass its numbers, as in {where}.{numbers}"
            )
    pillow = sys.modules.get("PIL.Image")  # whose images these may be only where it has been imported
    if pillow is not None and is_a(value, pillow.Image) and value.mode in ("P", "PA"):
        raise DTypeError(
            f"{name} is an image with a palette, whose pixels are places in it; pass its colours, as in "
            f"{name}.convert('RGB')"
        )
    if not is_in_memory(value):
        door = "dask" if held is value else "xarray"
        raise MemoryBudgetError(
            f"{name} is the {_told(value)}, which is not in memory, and is not read or computed whole unasked; pass a "
            f"part of it, give it to im2col.integrations.{door}, or pass np.asarray({name})"
        )


def wrapped(value: Any) -> Any:
    """Return what an array of xarray wraps, and gives names to; any other value itself."""
    if not hasattr(type(value), "_in_memory"):
        return value
    try:
        return getattr(value, "variable", value)._data
    except Exception:  # an object's own error; whoever converts it is told
        return value


def _unit(value: Any, attribute: str) -> str | None:
    """Return an array's unit, in words; None where it has none, as most columns of astropy's tables."""
    try:
        unit = getattr(value, attribute)
        return None if unit is None else str(unit)
    except Exception:  # an object's own error; whoever converts it is told
        return None


def is_in_memory(value: Any) -> bool:
    """Whether an array's numbers are in memory, and not read or computed as it is converted."""
    kind = type(value)
    try:
        if is_a(value, np.ndarray) or any(hasattr(kind, each) for each in _MEMORY):
            return True
        if hasattr(kind, "_in_memory"):  # xarray's know it of what they wrap
            return bool(value._in_memory)
        return not (hasattr(value, "shape") and any(hasattr(value, each) for each in _STORED))
    except Exception:  # an object's own error; whoever converts it is told
        return True


def _told(value: Any) -> str:
    """Return what an array is, in words: its package, class, shape, dtype and bytes, as far as it says."""
    package = type(value).__module__.partition(".")[0]
    words = f"{package} {class_of(value)}"
    try:
        size = format_bytes(math.prod(value.shape) * np.dtype(value.dtype).itemsize)
        return f"{words} {tuple(value.shape)} of {value.dtype} ({size})"
    except Exception:  # a dtype that NumPy lacks, a length that is not known yet
        return words
