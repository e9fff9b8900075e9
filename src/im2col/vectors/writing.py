"""The matrices of a layer as files for those who build what computes it."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.boxes import box_steps, boxes
from ..engine.host import require_memory
from ..engine.threads import resolve_threads
from ..errors import ArgumentError, FileError, ShapeError, format_bytes, named, shown
from ..files import (
    LONGEST_PATH,
    STANDARD,
    check_target,
    check_writable,
    open_npy,
    permissions,
    reason_of,
    replacing,
    require_room,
)
from ..matrix.frame import resolve_frame, weight_matrix
from ..matrix_file import read_source
from ..spec.arguments import check_choice, integer, is_sequence, plain
from ..spec.arrays import as_array
from ..spec.padding import check_mode
from ..version import __version__
from .numbers import MOST_BITS, ROUNDINGS, Number, number_of, parse_number, quantized, requantized
from .text import ENDINGS, FORMATS, most_bytes, part_bytes, text_of
from .tiles import ENTRIES, Matrix

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ..files import Progress
    from ..matrix.frame import Frame
    from ..spec.geometry import Window
    from ..spec.layout import TapOrder
    from ..spec.padding import Padding, PaddingMode
    from .numbers import Rounding
    from .text import Format

_OPERAND_BITS = 16
_ROUNDED = {"half-even": "half to even", "half-up": "half up", "floor": "down (bits fall away)"}


@dataclass(frozen=True)
class Vectors:
    """What was written.

    Parameters
    ----------
    paths : tuple of Path
        The files.
    lines : tuple of str
        What is in each.
    saturated : dict of str to int
        How many numbers of the ``"image"``, the ``"weights"`` and the ``"result"`` were beyond what their bits hold,
        and became the least or the greatest.
    """

    paths: tuple[Path, ...]
    lines: tuple[str, ...]
    saturated: dict[str, int]

    def __str__(self) -> str:
        return "\n".join(self.lines)


@named
def write_vectors(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    kernel_size: Window,
    *,
    weights: str | os.PathLike[str] | None = None,
    form: Format = "mem",
    tile: tuple[int, int, int] | None = None,
    number: str | None = None,
    weights_number: str | None = None,
    result_number: str | None = None,
    rounding: Rounding = "half-even",
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "constant",
    layout: str | None = None,
    tap_order: TapOrder = "channel-first",
    force: bool = False,
    large: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> Vectors:
    """Write column matrix, weight matrix and expected result of a layer as tiles of integers, in text.

    Parameters
    ----------
    source : path-like
        A photograph or a .npy file, as for `write_matrix`.
    folder : path-like
        Where ``columns``, ``weights`` and ``expected`` are written; it is made if there is none. Whom the files that
        they come from shut out, they shut out, too.
    kernel_size : int or tuple of int
        As for `im2col`.
    weights : path-like, optional
        A .npy file, (n, C/groups, *kernel). Without it only the columns are written.
    form : {"mem", "hex", "c", "csv", "json"}
        As for `text_of`.
    tile : (int, int, int), optional
        Positions, taps and filters of a tile: columns have tiles of positions × taps, weights of taps × filters, the
        result of positions × filters. The whole matrices if left out.
    number, weights_number : str, optional
        Numbers of the image and the weights, of at most 16 bits: ``int8``, ``uint4``, ``Q0.7``, as for `parse_number`.
        Those of the arrays if left out, where they are integers of as many bits.
    result_number : str, optional
        Of the result, at most 48 bits. If left out, the sums as they are, in 32 bits, or in 48 where an operand has
        more than 8.
    rounding : {"half-even", "half-up", "floor"}
        For image and weights that are no integers times a power of two, and for bits of the sums that the result lacks.
    groups : int
        As for `conv`; the weights are those of `weight_matrix`.
    stride, padding, dilation, padding_mode, tap_order, threads
        As for `im2col`.
    layout, force, large, note
        As for `write_matrix`.
    progress : callable, optional
        ``progress(done, total)``, in entries.

    Returns
    -------
    Vectors

    Raises
    ------
    FileError
        If a file cannot be read or written as asked, or the disk has no room for it. All files appear, or none.
    GeometryError, LayoutError, ArgumentError, DTypeError, ShapeError
        If another argument does not fit.
    MemoryBudgetError
        If the image and its padded copy in integers, the weight matrix, or a row of a tile as text, would not fit the
        available memory.

    Notes
    -----
    Sums are exact: no accumulator overflows on the way. What is beyond a number's bits becomes its least or greatest.
    """
    form, rounding = check_choice("form", form, FORMATS), check_choice("rounding", rounding, ROUNDINGS)
    if str(folder) == STANDARD:
        raise FileError(f"{form} makes several files, which standard output cannot take apart; name a folder")
    if not str(folder):
        raise FileError("the folder has no name, got ''; name one, or . for this one")
    if weights is None:
        _refuse_without_weights(groups=groups, weights_number=weights_number, result_number=result_number)
    names = ("columns",) if weights is None else ("columns", "weights", "expected")
    paths = tuple(Path(folder) / f"{name}{ENDINGS[form]}" for name in names)
    with _no_such_folder(Path(folder)):
        is_there = Path(folder).is_dir()
    for path in paths if is_there else ():  # before an image is read and every number rounded
        check_target(path, force=force)
    workers, cut = resolve_threads(threads), _tile(tile)
    w = None if weights is None else as_array(str(weights), open_npy(weights))
    image, layout = read_source(source, layout, large=large, note=note)
    frame = resolve_frame(image.shape, kernel_size, stride, padding, dilation, layout, "rows", tap_order)
    if 0 in image.shape:
        raise ShapeError(f"the image {image.shape} has no pixels; pass one with some")
    mode = check_mode(padding_mode, frame.layout, frame.geometry)
    x_number = number_of("number", "the image", image.dtype, number, _OPERAND_BITS)
    saturated = {}
    size = (image.size + math.prod(frame.padded_shape) * frame.geometry.is_padded) * x_number.dtype.itemsize
    require_memory(size, "use a smaller image, or less padding", "the image {} in integers", frame.padded_shape)
    pixels, saturated["image"] = _integers("the image", image, x_number, rounding)
    matrices = [_columns(frame, frame.padded(pixels, mode, np.zeros((), pixels.dtype), workers), x_number, cut)]
    if w is not None:
        _check_weights(w, frame, groups)
        w_number = number_of("weights_number", "the array of weights", w.dtype, weights_number, _OPERAND_BITS)
        stored, saturated["weights"] = _integers("the array of weights", w, w_number, rounding)
        right = weight_matrix(stored, tap_order=tap_order, groups=groups)
        y_number = _result_number(x_number, w_number, result_number)
        sums = _Sums(matrices[0], right, x_number.fraction + w_number.fraction, y_number, rounding)
        matrices += [_weights(right, w_number, cut), _expected(sums, cut)]
    about = _facts(frame, padding_mode, groups, rounding)
    like = permissions(source) & (permissions(source) if weights is None else permissions(weights))
    lines = _write(matrices, paths, form, about, force=force, like=like, progress=progress)
    if w is not None:
        saturated["result"] = sums.saturated
    sizes = (image.size, 0 if w is None else w.size, math.prod(matrices[-1].shape))
    for (what, count), matrix, of in zip(saturated.items(), matrices, sizes, strict=False):
        if count and note is not None:
            note(f"{what}: {count} of {of} were beyond {matrix.number.name} and became its least or greatest")
    return Vectors(paths, lines, saturated)


def _refuse_without_weights(**options: object) -> None:
    """Raise where something is said of weights, or of the result, that there are none of."""
    for name, value in options.items():
        if value is not None and value != 1:
            raise ArgumentError(f"{name} is for weights, and there are none; pass weights='w.npy', or leave it out")


def _tile(tile: object) -> tuple[int, int, int] | None:
    if tile is None:
        return None
    sizes = plain(tile) if is_sequence(tile) else ()
    if len(sizes) != 3:
        raise ArgumentError(f"tile must be positions, taps and filters such as (4, 4, 4), got {shown(tile)}")
    positions, taps, filters = (integer("tile", size, 1) for size in sizes)
    return positions, taps, filters


def _check_weights(w: NDArray[Any], frame: Frame, groups: int) -> None:
    kernel, channels = frame.geometry.kernel_size, frame.channels
    if w.ndim != 2 + len(kernel) or w.shape[2:] != kernel or w.shape[1] * groups != channels or 0 in w.shape:
        each = channels // groups if groups > 0 else channels
        raise ShapeError(
            f"weights must be (filters, {each}, {', '.join(map(str, kernel))}) for this image and groups={groups}, got "
            f"shape {w.shape}"
        )


def _result_number(x: Number, w: Number, text: str | None) -> Number:
    if text is not None:
        return parse_number("result_number", text, MOST_BITS)
    bits, fraction = 32 if max(x.bits, w.bits) <= 8 else MOST_BITS, x.fraction + w.fraction
    return Number(f"Q{bits - 1 - fraction}.{fraction}" if fraction else f"int{bits}", bits, fraction)


def _integers(what: str, values: NDArray[Any], number: Number, rounding: Rounding) -> tuple[NDArray[Any], int]:
    """Return the integers that stand for an array, box by box, and how many values were beyond them."""
    stored, beyond = np.empty(values.shape, number.dtype), 0
    for box in boxes(values.shape, box_steps(values.shape, ENTRIES)):
        part = np.asarray(values[box])
        if part.dtype.kind not in "biu" and bool(np.isnan(part).any()):
            raise ArgumentError(f"{what} has NaN, which no integer stands for; replace it, as np.nan_to_num does")
        stored[box], more = quantized(part, number, rounding)
        beyond += more
    return stored, beyond


def _columns(frame: Frame, padded: NDArray[Any], number: Number, cut: tuple[int, int, int] | None) -> Matrix:
    view = frame.patches(padded)
    lead = 1 + frame.geometry.ndim
    positions, taps = math.prod(view.shape[:lead]), math.prod(view.shape[lead:])

    def read(rows: slice, columns: slice) -> NDArray[np.int64]:
        stops = np.unravel_index(np.arange(rows.start, rows.stop), view.shape[:lead])
        steps = np.unravel_index(np.arange(columns.start, columns.stop), view.shape[lead:])
        part = view[(*(stop[:, None] for stop in stops), *(step[None] for step in steps))]
        return np.asarray(part, np.int64)

    tile = (positions, taps) if cut is None else cut[:2]
    title = f"the column matrix, {positions} positions x {taps} taps"
    return Matrix("columns", title, ("positions", "taps"), (positions, taps), tile, number, read, taps)


def _weights(right: NDArray[Any], number: Number, cut: tuple[int, int, int] | None) -> Matrix:
    taps, filters = right.shape
    title = f"the weight matrix, {taps} taps x {filters} filters"
    tile = (taps, filters) if cut is None else cut[1:]
    return Matrix("weights", title, ("taps", "filters"), (taps, filters), tile, number, _part_of(right), filters)


def _part_of(array: NDArray[Any]) -> Callable[[slice, slice], NDArray[np.int64]]:
    return lambda rows, columns: np.asarray(array[rows, columns], np.int64)


def _expected(sums: _Sums, cut: tuple[int, int, int] | None) -> Matrix:
    (positions, taps), filters = sums.columns.shape, sums.right.shape[1]
    title = f"the expected result, {positions} positions x {filters} filters: columns times weights"
    tile = (positions, filters) if cut is None else (cut[0], cut[2])
    return Matrix("expected", title, ("positions", "filters"), (positions, filters), tile, sums.number, sums.read, taps)


class _Sums:
    """The result, some rows at a time; the last ones are kept, which all tiles side by side need."""

    def __init__(self, columns: Matrix, right: NDArray[Any], fraction: int, number: Number, rounding: Rounding) -> None:
        size = 8 * right.size
        require_memory(size, "write the layer's groups one by one", "the weight matrix {} of int64", right.shape)
        self.columns, self.right, self.number = columns, right.astype(np.int64), number
        self.saturated = 0
        self._fraction, self._rounding = fraction, rounding
        self._kept: tuple[slice, NDArray[np.int64]] | None = None
        self._counted = 0

    def read(self, rows: slice, columns: slice) -> NDArray[np.int64]:
        """Return a part of the result."""
        if self._kept is None or self._kept[0] != rows:
            left = self.columns.read(rows, slice(0, self.columns.shape[1]))
            done, beyond = requantized(left @ self.right, self._fraction, self.number, self._rounding)
            if rows.start >= self._counted:  # a tile that is read in parts comes again for its neighbour
                self.saturated, self._counted = self.saturated + beyond, rows.stop
            self._kept = rows, done
        return self._kept[1][:, columns]


def _facts(frame: Frame, padding_mode: PaddingMode, groups: int, rounding: Rounding) -> tuple[str, ...]:
    g = frame.geometry
    shape = tuple(
        {"N": frame.batch, "C": frame.channels}.get(axis) or g.spatial_shape[frame.layout.spatial.index(axis)]
        for axis in frame.layout.axes
    )
    return (
        f"image {shape} {frame.layout.axes}, kernel {g.kernel_size}, stride {g.stride}, dilation {g.dilation}, groups "
        f"{groups}",
        f"padding {g.padding} (before, after), {padding_mode}; taps {frame.tap_order}; positions in row-major order",
        f"rounded {_ROUNDED[rounding]}; what is beyond the bits became the least or the greatest number",
    )


def _write(
    matrices: list[Matrix],
    paths: tuple[Path, ...],
    form: Format,
    about: tuple[str, ...],
    *,
    force: bool,
    like: int,
    progress: Progress | None,
) -> tuple[str, ...]:
    """Write all files, or none; return what is in each."""
    for matrix in matrices:
        what = "tiles of {} x {} numbers, of which a row is in memory as text,"
        require_memory(part_bytes(matrix), "use smaller tiles", what, *matrix.tile)
    sizes = [most_bytes(matrix, form) for matrix in matrices]
    total, done = sum(matrix.entries for matrix in matrices), 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(_folder(paths[0].parent))
        for path in paths:
            check_writable(path, force=force)
        require_room(paths[0], sum(sizes), f"{', '.join(path.name for path in paths)}", "write to another disk")
        files = [stack.enter_context(replacing(path, force=force, like=like)) for path in paths]
        for matrix, file in zip(matrices, files, strict=True):
            head = (f"im2col {__version__}: {matrix.title}", *about, str(matrix.number))
            for piece, entries in text_of(matrix, form, head):
                file.write(piece)
                done += entries
                if progress is not None:
                    progress(done, total)
        return tuple(_line(*each) for each in zip(matrices, paths, [file.tell() for file in files], strict=True))


def _line(matrix: Matrix, path: Path, size: int) -> str:
    (rows, columns), (height, width), (down, across) = matrix.shape, matrix.tile, matrix.counts
    return (
        f"{path.name:<14} {rows} {matrix.axes[0]} × {columns} {matrix.axes[1]} of {matrix.number.name}, "
        f"{down} × {across} tiles of {height} × {width}, {format_bytes(size)}"
    )


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a folder, and those that it is in; they go again where what they are for fails."""
    new: list[Path] = []
    try:
        with _no_such_folder(folder):
            new = [each for each in (folder, *folder.parents) if not each.exists()]
            folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in new:
            with contextlib.suppress(OSError, ValueError):  # it was not made, or others have put something in it
                each.rmdir()
        raise


@contextlib.contextmanager
def _no_such_folder(folder: Path) -> Iterator[None]:
    """Say of what the system says of a folder that it cannot be made."""
    try:
        yield
    except (OSError, ValueError) as cause:  # a null byte
        raise FileError(
            f"cannot make the folder {shown(str(folder), LONGEST_PATH)}: {reason_of(cause)}; name another"
        ) from cause
