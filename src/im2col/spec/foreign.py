"""Arrays of other packages: those that NumPy would take, but not all of, and the way back to what the user had.

What they lie on, and what their numbers mean, decides what is taken.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DTypeError, MemoryBudgetError, class_of, format_bytes, shown, words_of
from ..importing import importing
from .arguments import is_a

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MEMORY = ("__array_interface__", "__dlpack__", "__buffer__")
"""What says that an object's numbers are in memory."""
_STORED = ("__dask_graph__", "chunks", "chunking", "chunk_layout")
"""What those of dask, Zarr, h5py, netCDF4 and TensorStore have, which are not."""
_UNITS = (("units", "magnitude"), ("units", "value"), ("unit", "value"))
"""What classes of numbers with a unit call the unit and the numbers: pint's, unyt's, astropy's."""
_HOST = (1, 3, 11, 13)
"""DLPack's numbers of devices whose memory the CPU reads: its own, and what CUDA and ROCm share with it."""


def check_whole(name: str, value: Any, door: str | None = None) -> None:
    """Refuse an array that is read or computed as it is converted, and one of which numbers are not all.

    Parameters
    ----------
    name : str
        What an error names.
    value : object
        Anything but a plain ndarray.
    door : str, optional
        What takes such an array in place of the operation that does not.

    Raises
    ------
    MemoryBudgetError
        For what lies on a disk, or is computed when it is asked for, of whatever size.
    DTypeError
        As `check_meaning`; for what a copy would be made of from another device, or without its gradient or trace.
    """
    check_meaning(name, value)
    if not is_in_memory(value):
        doors = f"im2col.integrations.{'dask' if wrapped(value) is value else 'xarray'}"
        if door is not None:
            doors = f"{door} or {doors}"
        raise MemoryBudgetError(
            f"{name} is the {_told(value)}, which is not in memory, and is not read or computed whole unasked; pass a "
            f"part of it, give it to {doors}, or pass np.asarray({name})"
        )
    _check_free(name, value)


def check_meaning(name: str, value: Any) -> None:
    """Refuse an array of which numbers are not all.

    Parameters
    ----------
    name : str
        What an error names.
    value : object

    Raises
    ------
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


def _check_free(name: str, value: Any) -> None:
    """Refuse what cannot be had without more than its memory: with a history, or on another device."""
    torch, jax = (sys.modules.get(package) for package in ("torch", "jax"))  # whose arrays these may be only then
    is_tensor = torch is not None and is_a(value, torch.Tensor)
    _check_history(name, value, is_tensor, jax)
    # DLPack's answer costs a tensor more than its own.
    elsewhere = (None if value.is_cpu else f"on the device {value.device}") if is_tensor else _elsewhere(value)
    if elsewhere is not None:
        raise DTypeError(
            f"{name} is the {_told(value)} {elsewhere}, from where nothing is copied unasked; pass a copy in CPU memory"
        )


def _check_history(name: str, value: Any, is_tensor: bool, jax: Any) -> None:
    if is_tensor and value.requires_grad:
        raise DTypeError(
            f"{name} is a tensor whose gradient is asked for, which would be lost; call the functions of "
            f"im2col.integrations.torch, or pass {name}.detach()"
        )
    if is_tensor and has_tangent(value):
        raise DTypeError(
            f"{name} has a tangent, which would be lost; use torch's own function, or pass {name}.detach()"
        )
    if jax is not None and is_a(value, jax.core.Tracer):
        raise DTypeError(
            f"{name} is traced by JAX, and has no numbers yet; call the functions of im2col.integrations.jax"
        )
    if jax is not None and is_a(value, jax.Array) and value.is_deleted():
        raise DTypeError(
            f"{name} is an array that JAX has deleted, as what is donated to a function of jax.jit; pass a copy that "
            "was made before"
        )


def has_tangent(tensor: Any) -> bool:
    """Whether a tensor of torch is differentiated forward."""
    return sys.modules["torch"].autograd.forward_ad.unpack_dual(tensor).tangent is not None


def _elsewhere(value: Any) -> str | None:
    """Return where an array is, in words, or None where the CPU reads its memory."""
    if is_a(value, np.ndarray) or not hasattr(type(value), "__dlpack_device__"):
        return None
    try:
        number = int(value.__dlpack_device__()[0])
        return None if number in _HOST else f"on the device {shown(getattr(value, 'device', number))}"
    except Exception as cause:  # as of what is spread over several
        return f"out of the CPU's reach ({words_of(cause)})"


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


def kind_of(value: Any) -> Any:
    """Return the kind of an array: the namespace that its package makes arrays in.

    Returns
    -------
    module or None
        torch, or one of the array API standard, as JAX and array-api-strict have it. None where results are ndarrays:
        for theirs, for lists, for all else.
    """
    own = type(value)
    torch = sys.modules.get("torch")  # whose tensors these may be only where it has been imported
    if torch is not None and issubclass(own, torch.Tensor):
        return torch
    try:
        if not hasattr(own, "__array_namespace__") or issubclass(own, (np.ndarray, np.generic)):
            return None
        namespace = value.__array_namespace__()
        return namespace if hasattr(namespace, "from_dlpack") else None
    except Exception:  # an object's own error; whoever converts it is told
        return None


def returned(kind: Any, result: Any) -> Any:
    """Return an ndarray as an array of a kind, over the same memory if it can be; anything else as it is.

    Raises
    ------
    DTypeError
        If there is no such array: of the dtype, or, where a kind knows no strides, of a view.
    """
    if kind is None or type(result) is not np.ndarray:
        return result
    try:
        if kind is sys.modules.get("torch"):
            return tensor_of(result)
        try:
            return kind.from_dlpack(result)
        except BufferError:  # NumPy exports no dtypes of other packages, nor views to those who do not know them
            if not result.flags.writeable:
                raise
            return kind.asarray(result)
    except Exception as cause:
        raise DTypeError(
            f"the result {result.shape} of {result.dtype} cannot be an array of the kind that was passed "
            f"({words_of(cause)}); pass an ndarray, as in np.asarray(x)"
        ) from cause


def tensor_of(array: NDArray[Any]) -> Any:
    """Return an array's memory as a tensor of torch, which has been imported."""
    torch = sys.modules["torch"]
    # Torch knows no memory that may only be read; by DLPack it does not warn.
    convert = torch.from_numpy if array.flags.writeable else torch.from_dlpack
    try:
        return convert(array)
    except (TypeError, BufferError):  # of the numbers of ml_dtypes
        bits = np.int16 if array.itemsize == 2 else np.uint8
        return convert(array.view(bits)).view(getattr(torch, array.dtype.name))


def array_of_bits(tensor: Any, torch: Any, name: str) -> NDArray[Any]:
    """Return a tensor of a dtype that NumPy lacks: the same memory, as an array of ml_dtypes' dtype of that name."""
    try:
        with importing:
            import ml_dtypes
    except ImportError as cause:
        raise TypeError(f"NumPy has no {name}; install ml_dtypes, or pass x.float()") from cause
    bits: NDArray[Any] = np.asarray(tensor.view(torch.int16 if tensor.element_size() == 2 else torch.uint8))
    return bits.view(getattr(ml_dtypes, name))


def array_of_table(name: str, value: Any, pandas: Any) -> NDArray[Any]:
    """Return what pandas holds as an array: of NumPy's dtype of numbers, where it is in dtypes with missing values.

    NumPy would make a table of such columns an array of objects, and NaN of what is missing.

    Parameters
    ----------
    name : str
        What an error names.
    value : DataFrame, Series, Index or ExtensionArray
    pandas : module

    Raises
    ------
    DTypeError
        If a number is missing.
    """
    is_table = is_a(value, pandas.DataFrame)
    dtypes = list(value.dtypes) if is_table else [value.dtype]
    nullable = [at for at, dtype in enumerate(dtypes) if getattr(dtype, "na_value", None) is pandas.NA]
    plain = [getattr(dtype, "numpy_dtype", dtype) for dtype in dtypes]
    if not nullable or not all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in plain):
        return np.asarray(value)
    # Not the NaN of other columns, which are numbers.
    missing = int(np.count_nonzero(pandas.isna(value.iloc[:, nullable] if is_table else value)))
    if missing:
        raise DTypeError(
            f"{name} misses {missing} of its numbers (pandas.NA); say what stands for them, as in "
            f"{name}.to_numpy(float, na_value=0)"
        )
    array: NDArray[Any] = value.to_numpy(dtype=np.result_type(*plain))
    return array
