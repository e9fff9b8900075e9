"""A .npy file that is written block by block."""

from __future__ import annotations

import io
import math
import os
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import FileError
from ..files import (
    ANYONE,
    cannot_write,
    check_target,
    keep_permissions,
    new_part,
    open_part,
    part_of,
    put_in_place,
    remove_part,
    require_room,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class NpyFile:
    """A .npy file that is written block by block, in any order, and appears under its name when it is complete.

    As a context it is put in place at the end; where the block fails, it is removed, or kept for another run.

    Parameters
    ----------
    path, force
        As for `check_target`.
    shape : tuple of int
    dtype : dtype
    part : path-like, optional
        Where it lies until then: a file that an earlier run kept, or where it is kept for a later one.

    Raises
    ------
    FileError
        As `check_target`; if there is no room for it, or what was kept is no such file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        force: bool,
        part: Path | None = None,
    ) -> None:
        self._path, self._shape, self._dtype, self._force = path, shape, dtype, force
        target = check_target(path, force=force)
        self._kept, self._part = part is not None, part or part_of(target)
        buffer = io.BytesIO()
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(buffer, header)
        self._start = len(buffer.getvalue())
        size = self._start + math.prod(shape) * dtype.itemsize
        if self._part.exists():
            self._descriptor = self._open_kept(buffer.getvalue(), size)
            return
        require_room(target, size, f"the result {shape} of {dtype}", "write it to another disk")
        self._descriptor = new_part(path, self._part, ANYONE)
        try:
            keep_permissions(self._descriptor, target, ANYONE)
            self._put(0, memoryview(buffer.getvalue()))
            os.truncate(self._descriptor, size)
        except BaseException as cause:
            self._close(keep=False)
            if isinstance(cause, OSError):
                raise cannot_write(path, cause) from cause
            raise

    def _open_kept(self, header: bytes, size: int) -> int:
        """Return the descriptor of what an earlier run kept."""
        descriptor = open_part(self._part)
        if os.fstat(descriptor).st_size != size or os.read(descriptor, len(header)) != header:
            os.close(descriptor)
            raise FileError(f"{self._part} is not what the journal tells of; remove it, and the journal")
        return descriptor

    def write(self, place: tuple[slice, ...], block: NDArray[Any]) -> None:
        """Write a block, in C order, to its place.

        Raises
        ------
        FileError
            If the system does not take it: the disk is full, say.
        """
        shape = self._shape
        whole = len(shape)  # from this axis on, what a block has of an outer axis lies in one piece
        while whole > 1 and block.shape[whole - 1] == shape[whole - 1]:
            whole -= 1
        strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        runs = block.reshape(*block.shape[: whole - 1], -1) if block.size else block[:0]
        first = sum(each.start * n for each, n in zip(place, strides, strict=True))
        try:
            for index in np.ndindex(runs.shape[:-1]):
                item = first + sum(i * n for i, n in zip(index, strides, strict=False))
                self._put(self._start + item * self._dtype.itemsize, memoryview(runs[index].view(np.uint8)))  # type: ignore[arg-type]  # it has a buffer
        except OSError as cause:
            raise cannot_write(self._path, cause) from cause

    def _put(self, start: int, content: memoryview) -> None:
        os.lseek(self._descriptor, start, os.SEEK_SET)
        while content:
            content = content[os.write(self._descriptor, content) :]

    def flush(self) -> None:
        """Bring to the disk what has been written."""
        os.fsync(self._descriptor)

    @property
    def state(self) -> list[int]:
        """Nothing: blocks have their places."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._close(keep=error is None or self._kept)
        if error is None:
            try:
                put_in_place(self._part, self._path, force=self._force)
            except BaseException as cause:
                if not self._kept:
                    remove_part(self._part)
                if isinstance(cause, OSError):
                    raise cannot_write(self._path, cause) from cause
                raise

    def _close(self, *, keep: bool) -> None:
        os.close(self._descriptor)
        if not keep:
            remove_part(self._part)
