"""Photographs: filtered with a kernel, from file to file."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..errors import named, naming
from ..files import check_writable, permissions
from .kernels import KERNELS, ImageKernel, as_kernel, find_kernel
from .photograph import Photo
from .reading import opened_photo
from .resuming import check_journal, journal_of
from .row_filter import RowFilter
from .sink import BESIDE
from .writing import format_for, level_for, photo_sink, write_photo

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from ..blocks.journal import Journal
    from ..files import Progress
    from ..spec.geometry import Window
    from ..spec.padding import Padding, PaddingMode
    from .sink import Sink

_NOTHING = 1e-6
"""Of the magnitudes' sum: less, and a kernel finds differences; it is rounding that its sum is not 0."""


@named
def filter_photo(
    photo: Photo,
    kernel: str | ImageKernel | ArrayLike,
    *,
    stride: Window = 1,
    padding: Padding = "same",
    dilation: Window = 1,
    padding_mode: PaddingMode = "edge",
    signed: bool = False,
    algorithm: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Photo:
    """Convolve each colour channel with a kernel by itself: a depthwise convolution.

    Parameters
    ----------
    photo : Photo
    kernel : str, ImageKernel or array_like, (kh, kw)
        A name (see `KERNELS`), the path of a .npy file, or the weights. It is not flipped.
    stride, dilation : int or tuple of int
        As for `conv2d`.
    padding, padding_mode
        As for `conv2d`. By default the photograph keeps its size, and its edge is repeated outside.
    signed : bool
        Add mid-grey (128, or 32768), so that negative results show as darker than even areas. Floating-point samples
        need no such thing.
    algorithm, threads
        As for `conv2d`.
    progress : callable, optional
        ``progress(done, total)``, in rows of the result, after each band.

    Returns
    -------
    Photo
        Integers are rounded half to even and clipped to the range of their dtype; floating-point samples are neither.
        Alpha is not filtered: each pixel takes the opacity of the pixel under the middle of its window (beyond the
        edge: of the nearest pixel). The middle of an even kernel is the pixel above and left of its centre.

    Raises
    ------
    GeometryError, ArgumentError, DTypeError, FileError
        If an argument does not fit.
    MemoryBudgetError
        If the result would not fit the available memory.

    Notes
    -----
    The work goes in horizontal bands, so that it needs little memory beside the photograph and the result. The result
    does not depend on where the bands are cut: sums of integers are exact in float32, where no sum of the weights, in
    units of the last bit that any of them has, could pass 2**24. Few weights that are whole numbers over a divisor, as
    those of ``k / k.sum()``, are summed as whole numbers, and the sums divided, where none could pass 2**23. Other sums
    are made in float64 and rounded to float32, which drops what the order of a sum leaves in its last bits.
    Floating-point samples are summed in one order, in float64. Taps that are beyond the photograph
    wherever the window stands are merged, if the padding is the edge or the constant.

    Where a photograph is transparent its colour is unknown, so colours count as much as they can be seen. With weights
    w, colours c and opacities a, a pixel is the sum of w·a·c + w·(1 - a)·m, where m, the mean of the colours that are
    seen under the window, stands for what is not: the sum of |w|·a·c, divided by that of |w|·a (where nothing is seen,
    the colour under the middle). For a blur that is the usual mean of colours multiplied by their alpha; an even colour
    stays even with every kernel.

    Examples
    --------
    >>> import numpy as np
    >>> photo = Photo(np.full((4, 5, 3), 100, np.uint8))
    >>> print(filter_photo(photo, "blur", stride=2))
    3 × 2 RGB
    """
    filtering = RowFilter(
        photo,
        _as_named(kernel),
        stride=stride,
        padding=padding,
        dilation=dilation,
        padding_mode=padding_mode,
        signed=signed,
        algorithm=algorithm,
        threads=threads,
    )
    return _in_memory(filtering, progress)


def _in_memory(filtering: RowFilter, progress: Progress | None) -> Photo:
    """Return the result of a filter."""
    blank = filtering.result
    height, width, planes = blank.shape
    size = height * width * planes * blank.dtype.itemsize
    require_memory(size, "use less padding", "the result of {} × {} pixels", width, height)
    filtering.require_memory(size)
    result = np.empty(blank.shape, blank.dtype)
    done = 0

    def write(rows: NDArray[Any]) -> None:
        nonlocal done
        result[done : done + len(rows)] = rows
        done += len(rows)

    filtering.run(write, progress)
    return Photo.of(result, blank.metadata, blank.notes)


def _as_named(kernel: str | ImageKernel | ArrayLike) -> ImageKernel:
    if isinstance(kernel, ImageKernel):
        return kernel
    return find_kernel(kernel) if isinstance(kernel, str) else as_kernel(kernel)


@dataclass(frozen=True)
class Filtered:
    """What became of a photograph.

    Parameters
    ----------
    before, after : str
        Its size and kind.
    notes : tuple of str
        What was lost on the way.
    """

    before: str
    after: str
    notes: tuple[str, ...]


@named
def filter_file(
    source: str | os.PathLike[str],
    kernel: str,
    target: str | os.PathLike[str],
    *,
    force: bool = False,
    large: bool = False,
    compression: int | None = None,
    journal: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Filtered:
    """Read a photograph, filter it, and write the result; what can fail is tried before the work.

    Parameters
    ----------
    source, target : path-like
        The image files; ``-`` is standard input, and standard output.
    kernel : str
        A name, or the path of a .npy file.
    force, large : bool
        As for `write_photo` and `read_photo`.
    compression : int, optional
        As for `write_photo`.
    journal : path-like, optional
        A .json file that says which rows of a PNG or TIFF file are written. A run that was interrupted, or failed,
        leaves it, and what has been written; the same call goes on from there. It is removed at the end.
    progress : callable, optional
        As for `filter_photo`.
    **options
        The keywords of `filter_photo`.

    Returns
    -------
    Filtered

    Raises
    ------
    Im2colError
        As `read_photo`, `filter_photo` and `write_photo`; if the journal is that of another call, or of a run that
        still goes on, or the photograph has changed since.
    """
    check_writable(target, force=force)
    weights = find_kernel(kernel)
    like = permissions(source)
    with ExitStack() as stack:
        photo = stack.enter_context(opened_photo(source, large=large))
        with naming("filter_photo"):
            filtering = RowFilter(photo, weights, **options)
        height, width, _ = filtering.result.shape
        form = format_for(target, photo.mode, (width, height))
        level = level_for(form, compression)
        check_journal(journal, source, target, form)
        before, after, notes = str(photo), str(filtering.result), photo.notes
        if form.by_rows:
            with naming("filter_photo"):
                filtering.require_memory(BESIDE * filtering.bytes_at_once)
            written: dict[str, Any] = {"force": force, "like": like, "compression": compression}
            written["threads"] = options.get("threads")
            with (
                nullcontext() if journal is None else journal_of(journal, source, target, filtering, level) as kept,
                photo_sink(filtering.result, target, journal=kept, **written) as (sink, lost),
                naming("filter_photo"),
            ):
                if kept is not None and kept.done:
                    notes = (*notes, f"{target}: gone on with from row {kept.done} of {height}, as {journal} tells")
                _run(filtering, sink, kept, progress)
                stack.close()  # the target may be the source, which some systems replace only when it is closed
        else:
            with naming("filter_photo"):
                result = _in_memory(filtering, progress)
            # The photograph is let go before the result is written, whose encoder may need as much.
            stack.close()
            del photo, filtering
            lost = write_photo(result, target, force=force, like=like, compression=compression)
    return Filtered(before, after, (*notes, *_brightness(weights), *lost))


def _run(filtering: RowFilter, sink: Sink, journal: Journal | None, progress: Progress | None) -> None:
    """Write the rows of the result that a sink has not yet."""
    if journal is None:
        filtering.run(sink.write, progress)
        return

    def write(rows: NDArray[Any]) -> None:
        sink.write(rows)
        journal.advance(sink.rows, sink)

    with journal.kept_for(sink):
        filtering.run(write, progress, wanted=sink.wanted)


def _brightness(kernel: ImageKernel) -> Iterator[str]:
    """Yield a hint where a kernel makes even areas brighter or darker, which is seldom meant."""
    total = float(kernel.weights.sum()) / kernel.divisor
    if (
        kernel.name not in KERNELS
        and abs(total) > _NOTHING * float(np.abs(kernel.weights).sum())
        and abs(total - 1) > 1e-3
    ):
        yield (
            f"{kernel.name}: the weights sum to {total:.6g}, by which even areas are multiplied; divide them by it to "
            "keep the brightness"
        )
