"""What blocks are read from and written to: arrays of any package that can be sliced, and files."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..engine.boxes import box_steps, boxes
from ..errors import ArgumentError, DTypeError, OutputError, ShapeError, class_of, shown
from ..spec.arguments import is_a
from ..spec.arrays import as_array, check_numbers, native, overlap, overlaps_itself
from ..spec.foreign import check_meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

_WRITTEN_AT_ONCE = 1 << 20
"""Bytes that are written to a map of a file before its pages are let go."""


def shape_and_dtype(name: str, value: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and the dtype of an array, of which nothing is read.

    Parameters
    ----------
    name : str
        What an error names.
    value : object
        What a user passed.

    Raises
    ------
    ArgumentError
        If it has no shape, or cannot be sliced.
    DTypeError
        If its dtype is none of NumPy's numbers, or they mean something that would be lost.
    """
    check_meaning(name, value)
    try:
        shape = tuple(int(n) for n in value.shape)
        dtype = value.dtype
    except Exception:  # an object's own error, or a length that is not known
        shape, dtype = (-1,), None
    if min(shape, default=0) < 0 or dtype is None or not hasattr(type(value), "__getitem__"):
        way_out = "pass an array of NumPy, Zarr or h5py, or any that can be sliced"
        if is_a(value, (str, os.PathLike)):
            way_out = "open it first, as in np.load(path, mmap_mode='r')"
        raise ArgumentError(f"{name} must have a shape, a dtype and slices, got {shown(value)}; {way_out}")
    try:
        empty = np.empty(0, dtype)
    except Exception as cause:  # as of torch's
        raise DTypeError(
            f"{name} has the dtype {shown(dtype)}, which NumPy has not; pass np.asarray({name})"
        ) from cause
    found = as_array(name, empty).dtype
    check_numbers(name, found)
    return shape, native(found)


def chunks_of(value: Any, shape: Sequence[int], *, written: bool = False) -> tuple[int, ...]:
    """Return how long the chunks of an array are along each axis; 1 where there are none.

    Parameters
    ----------
    value : object
        An array. Of lists of chunks, as dask has them, the longest counts.
    shape : sequence of int
        Its own.
    written : bool
        Whether it is about what is written at a time: Zarr's shards, where it has them.
    """
    none = (1,) * len(shape)
    try:
        chunks = (getattr(value, "shards", None) if written else None) or getattr(value, "chunks", None) or none
        found = [int(max(each) if is_a(each, tuple) else each) for each in chunks]
    except Exception:  # what calls something else so
        return none
    if len(found) != len(shape) or min(found, default=1) < 1:
        return none
    return tuple(max(1, min(each, n)) for each, n in zip(found, shape, strict=True))


def check_sink(sink: Any, source: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an array that cannot take the result.

    Raises
    ------
    OutputError
        If it has another shape or dtype, is read-only, has elements that share memory, or is the source.
    ArgumentError, DTypeError
        As `shape_and_dtype`; if it cannot be written to.
    """
    has, of = shape_and_dtype("sink", sink)
    if not hasattr(type(sink), "__setitem__"):
        raise ArgumentError(
            f"sink of type {class_of(sink)} cannot be written to; pass the path of a .npy file, or an array of NumPy, "
            "Zarr or h5py"
        )
    if hasattr(type(sink), "__dask_graph__"):
        raise OutputError(
            "sink is lazy, and would keep every block in memory; pass the array that it is to be stored in"
        )
    if has != shape or of != dtype:
        raise OutputError(
            f"sink has shape {has} and dtype {of} but the result has {shape} and {dtype}; make it so, or ask for dtype="
        )
    if _is_read_only(sink):
        raise OutputError("sink is read-only; open it for writing")
    if is_a(sink, np.ndarray) and overlaps_itself(sink):
        raise OutputError("sink has elements that share memory; pass np.empty of the result's shape")
    if _is_same(sink, source):
        raise OutputError(
            "sink shares memory with the source, which would be overwritten while it is read; pass another"
        )


def _is_read_only(sink: Any) -> bool:
    try:
        if is_a(sink, np.ndarray):
            return not sink.flags.writeable
        file = getattr(sink, "file", None)  # h5py's
        return getattr(sink, "read_only", False) is True or getattr(file, "mode", None) == "r"
    except Exception:  # an object's own error; whoever writes is told
        return False


def _is_same(sink: Any, source: Any) -> bool:
    """Whether two arrays are one, or lie in the same memory or on the same part of a file."""
    if sink is source:
        return True
    if is_a(sink, np.ndarray) and is_a(source, np.ndarray):
        if np.may_share_memory(sink, source):
            return overlap(sink, source)
        one, another = _map_of(sink), _map_of(source)
        if one is None or another is None or one is another:
            return False
        (file, start, stop), (other, first, last) = _part_of_file(one, sink), _part_of_file(another, source)
        return file is not None and file == other and max(start, first) < min(stop, last)
    try:
        return type(sink) is type(source) and (sink == source) is True  # Zarr's and h5py's know their files
    except Exception:  # an object's own error
        return False


def _map_of(array: Any) -> np.memmap[Any, Any] | None:
    """Return the map of a file that an array is, or is a view of."""
    found = None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and isinstance(array._mmap, mmap.mmap):  # type: ignore[attr-defined]  # NumPy's own name
            found = array
        array = array.base
    return found


def _part_of_file(mapped: Any, array: Array) -> tuple[Any, int, int]:
    """Return the file of a map, None if that is unknown, and which of its bytes a view of the map shows."""
    try:
        told = os.stat(mapped.filename)  # noqa: PTH116 (pathlib takes longer to import than small programs need it)
    except (OSError, TypeError):
        return None, 0, 0
    low, high = byte_bounds(array)
    start = mapped.offset - byte_bounds(mapped)[0]
    return (told.st_dev, told.st_ino), start + low, start + high


class Pages:
    """Pages of a file that an array maps into memory: they are let go, so that they do not add up.

    What was written to them stays in the system's cache, and comes to the file.
    """

    def __init__(self, array: Any) -> None:
        mapped = _map_of(array) if is_a(array, np.ndarray) else None
        # What is written to a private map ("c") lies in its pages alone.
        self._map: Any = mapped._mmap if mapped is not None and mapped.mode != "c" else None  # type: ignore[attr-defined]  # as above

    @property
    def are_mapped(self) -> bool:
        """Whether there are any."""
        return self._map is not None

    def release(self) -> None:
        """Let them go, where the system can."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


class ArraySink:
    """An array that takes a result block by block."""

    def __init__(self, array: Any) -> None:
        self._array, self._pages = array, Pages(array)

    def write(self, place: tuple[slice, ...], block: Array) -> None:
        """Write a block to its place: what is mapped into memory a few pages at a time, anything else in one go."""
        if not self._pages.are_mapped:
            self._array[place] = block
            return
        room = self._array[place]
        for part in boxes(block.shape, box_steps(block.shape, max(1, _WRITTEN_AT_ONCE // block.itemsize))):
            room[part] = block[part]
            self._pages.release()

    def flush(self) -> None:
        """Bring to the disk what has been written, if that is for the array to do."""
        flush = getattr(self._array, "flush", None)
        if callable(flush):
            flush()

    @property
    def state(self) -> list[int]:
        """Nothing: blocks have their places."""
        return []


def read(source: Any, place: tuple[slice, ...]) -> Array:
    """Return a part of the source.

    Raises
    ------
    ShapeError
        If the source gives something else.
    DTypeError
        If some of it is masked.
    Exception
        Its own, if it fails, with a note where.
    """
    try:
        given = source[place]
        part = np.asarray(given)
    except Exception as error:
        error.add_note(f"while im2col read the source at {_words(place)}")
        raise
    if np.ma.is_masked(given):
        raise DTypeError(
            f"source has masked pixels at {_words(place)}, whose mask would be lost; fill them where it is sliced, as "
            "netCDF4 does after set_auto_mask(False)"
        )
    shape = tuple(each.stop - each.start for each in place)
    if part.shape != shape:
        raise ShapeError(
            f"source has shape {part.shape} at {_words(place)}, which must be {shape}; mend what slices it"
        )
    return part


def _words(place: Sequence[slice]) -> str:
    return f"[{', '.join(f'{each.start}:{each.stop}' for each in place)}]"
