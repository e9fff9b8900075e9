"""The column matrix as a file, and its shape without the matrix."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .engine import gather
from .engine.boxes import box_steps
from .engine.host import require_memory
from .engine.threads import resolve_threads
from .errors import ArgumentError, FileError, format_bytes, named
from .files import STANDARD, check_writable, open_npy, permissions, require_room, writing
from .matrix.frame import resolve_frame
from .photo.image_files import read_photo
from .spec.arrays import as_array, as_dtype, native
from .spec.padding import check_mode

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from numpy.typing import DTypeLike, NDArray

    from .files import Progress
    from .matrix.frame import Frame, Orientation
    from .spec.geometry import Window
    from .spec.layout import TapOrder
    from .spec.padding import Padding, PaddingMode

BLOCK_BYTES = 8 << 20
"""Of the matrix that is in memory at once."""


@dataclass(frozen=True)
class MatrixShape:
    """What a column matrix is, or would be.

    Parameters
    ----------
    image_shape : tuple of int
        In `layout`.
    layout : str
        The image's axes.
    kernel_size, stride, dilation : tuple of int
        One value for each spatial axis.
    padding : tuple of (int, int)
        Pixels (before, after) each spatial axis.
    output_shape : tuple of int
        How often the window stops along each spatial axis.
    matrix_shape : tuple of int
        The column matrix's, with the batch axis where the image has one.
    dtype : str
        Of the image and the matrix.
    matrix_bytes : int
        Size of the matrix.
    duplication : float
        Entries of the matrix for each pixel of the image.
    """

    image_shape: tuple[int, ...]
    layout: str
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    output_shape: tuple[int, ...]
    matrix_shape: tuple[int, ...]
    dtype: str
    matrix_bytes: int
    duplication: float

    @classmethod
    def of(cls, image_shape: tuple[int, ...], frame: Frame, dtype: np.dtype[Any]) -> MatrixShape:
        """Return the figures of a frame."""
        g = frame.geometry
        entries, pixels = math.prod(frame.matrix_shape), math.prod(image_shape)
        return cls(
            image_shape=image_shape,
            layout=frame.layout.axes,
            kernel_size=g.kernel_size,
            stride=g.stride,
            dilation=g.dilation,
            padding=g.padding,
            output_shape=g.output_shape,
            matrix_shape=frame.matrix_shape,
            dtype=str(dtype),
            matrix_bytes=entries * dtype.itemsize,
            duplication=entries / pixels if pixels else 0.0,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return every figure by name, for programs."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(
            (
                f"image          {self.image_shape} {self.layout}",
                f"window         kernel {self.kernel_size}, stride {self.stride}, dilation {self.dilation}, padding "
                f"{self.padding}",
                f"output         {self.output_shape}",
                f"column matrix  {self.matrix_shape} of {self.dtype}, {format_bytes(self.matrix_bytes)}, "
                f"{self.duplication:.4g} entries for each pixel",
            )
        )


@named
def describe(
    image_shape: tuple[int, ...],
    kernel_size: Window,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    layout: str | None = None,
    orientation: Orientation = "rows",
    dtype: DTypeLike = np.float32,
) -> MatrixShape:
    """Return what the column matrix of an image would be, without making it.

    Parameters
    ----------
    image_shape : tuple of int
        In `layout`.
    kernel_size, stride, padding, dilation, layout, orientation
        As for `im2col`.
    dtype : dtype
        Of the image.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError
        If an argument does not fit.

    Examples
    --------
    >>> print(describe((1, 3, 224, 224), 7, stride=2, padding=3))
    image          (1, 3, 224, 224) NCHW
    window         kernel (7, 7), stride (2, 2), dilation (1, 1), padding ((3, 3), (3, 3))
    output         (112, 112)
    column matrix  (1, 12544, 147) of float32, 7.0 MiB, 12.25 entries for each pixel
    """
    frame = resolve_frame(image_shape, kernel_size, stride, padding, dilation, layout, orientation)
    return MatrixShape.of(image_shape, frame, as_dtype("dtype", dtype))


@named
def write_matrix(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    kernel_size: Window,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    padding_mode: PaddingMode = "constant",
    layout: str | None = None,
    orientation: Orientation = "rows",
    tap_order: TapOrder = "channel-first",
    force: bool = False,
    large: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> MatrixShape:
    """Write the column matrix of a photograph, or of an array, as a .npy file, block by block.

    Parameters
    ----------
    source : path-like
        An image file, whose colour channels are the image (alpha is left out), or a .npy file, which is mapped into
        memory and not read as a whole. ``-`` is a photograph from standard input.
    target : path-like
        The .npy file, or ``-`` for standard output. It holds what ``np.save`` would write of `im2col`'s result.
    kernel_size, stride, padding, dilation, padding_mode, orientation, tap_order, threads
        As for `im2col`.
    layout : str, optional
        The axes of the array in a .npy file; a photograph's are known.
    force : bool
        Replace a file that exists.
    large : bool
        As for `read_photo`.
    progress : callable, optional
        ``progress(done, total)``, in bytes, after each block.
    note : callable, optional
        ``note(text)``, for each thing that a photograph lost on the way: its alpha, say.

    Returns
    -------
    MatrixShape
        What was written.

    Raises
    ------
    FileError
        If a file cannot be read or written as asked, or the disk has no room for it.
    GeometryError, LayoutError, ArgumentError, DTypeError
        If another argument does not fit.
    MemoryBudgetError
        If the image, or its padded copy, would not fit the available memory.
    """
    if str(target) != STANDARD and Path(target).suffix.lower() != ".npy":
        raise FileError(f"the matrix is written as a .npy file, got {target}; use {target}.npy")
    check_writable(target, force=force)
    workers = resolve_threads(threads)
    image, layout = read_source(source, layout, large=large, note=note)
    frame = resolve_frame(image.shape, kernel_size, stride, padding, dilation, layout, orientation, tap_order)
    mode = check_mode(padding_mode, frame.layout, frame.geometry)
    dtype = native(image.dtype)
    size = math.prod(frame.matrix_shape) * dtype.itemsize
    if str(target) != STANDARD:
        what = f"the column matrix {frame.matrix_shape} of {dtype}"
        require_room(Path(target), size, what, "write it to another disk, or use a greater stride")
    padded = frame.geometry.padded_shape
    require_memory(frame.padded_bytes(image.itemsize), "use less padding", "the padded image {} of {}", padded, dtype)
    view = frame.patches(frame.padded(image, mode, np.zeros((), dtype), workers))
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": frame.matrix_shape}
    done = 0
    with writing(target, force=force, like=permissions(source)) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in _blocks(view, dtype, workers):
            file.write(block.data)
            done += block.nbytes
            if progress is not None:
                progress(done, size)
    return MatrixShape.of(image.shape, frame, dtype)


def read_source(
    source: str | os.PathLike[str], layout: str | None, *, large: bool, note: Callable[[str], None] | None
) -> tuple[NDArray[Any], str | None]:
    """Return a file's image and its axes; arguments as of `write_matrix`."""
    if Path(source).suffix.lower() == ".npy":
        return as_array(str(source), open_npy(source)), layout
    if layout is not None:
        raise ArgumentError(f"layout={layout!r} is for .npy files; leave it out, a photograph's axes are known")
    photo = read_photo(source, large=large)
    notes = photo.notes if photo.alpha is None else (*photo.notes, f"{source}: alpha was left out of the matrix")
    if note is not None:
        for text in notes:
            note(text)
    samples = photo.samples
    return (samples, "HWC") if samples.shape[2] > 1 else (samples[:, :, 0], "HW")


def _blocks(view: NDArray[Any], dtype: np.dtype[Any], threads: int) -> Iterator[NDArray[Any]]:
    """Yield the elements of `view` in C order, each block in the same memory: the matrix is its patches, flattened.

    Plain writing is better than a memory map here: a full disk is then an error, and no signal that kills the process.
    """
    steps = box_steps(view.shape, BLOCK_BYTES // dtype.itemsize)
    buffer = np.empty(math.prod(steps), dtype)
    starts = [range(0, n, step) for n, step in zip(view.shape, steps, strict=True)]
    for corner in itertools.product(*starts):
        box = view[tuple(slice(start, start + step) for start, step in zip(corner, steps, strict=True))]
        block = buffer[: box.size].reshape(box.shape)
        gather.copy(block, box, threads)
        yield block
