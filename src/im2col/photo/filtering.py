"""Photographs: filtered with a kernel, from file to file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..errors import ArgumentError, named
from ..files import check_writable, permissions
from ..layers.convolution import convolution
from ..layers.plan import Plan
from ..spec.layout import Layout
from ..spec.padding import check_mode, resolve_geometry
from .bands import Bands
from .image_files import read_photo
from .kernels import KERNELS, ImageKernel, as_kernel, find_kernel
from .photograph import Photo
from .reach import within_reach
from .writing import format_for, write_photo

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from ..files import Progress
    from ..layers.operation import Work
    from ..spec.geometry import Geometry, Window
    from ..spec.padding import Padding, PaddingMode

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
    does not depend on where the bands are cut: sums of integer weights are exact in float32 (float64 where they could
    pass 2**24), and other weights are summed in float64 and rounded to float32, which drops what the order of a sum
    leaves in its last bits. Taps that are beyond the photograph wherever the window stands are merged, if the padding
    is the edge or the constant.

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
    kernel = _as_named(kernel)
    geometry = result_geometry(photo, kernel, stride=stride, padding=padding, dilation=dilation)
    mode = check_mode(padding_mode, Layout("HW"), geometry)
    maximum = photo.maximum
    if signed and maximum is None:
        raise ArgumentError("signed is for integers: floating-point samples hold negative results as they are")
    dtype = _exact_dtype(kernel, photo)
    rows, columns = geometry.output_shape
    size = rows * columns * photo.planes * photo.samples.itemsize
    require_memory(size, "use less padding", "the result of {} × {} pixels", columns, rows)
    filters, window = within_reach(_filters(kernel, dtype, transparent=photo.alpha is not None), geometry, mode)
    bands = Bands(photo, window, mode, dtype)

    def decided(band_rows: int) -> Work:
        return convolution(
            bands.shape(band_rows),
            dtype,
            np.tile(filters, (bands.planes, 1, 1, 1)),
            None,
            stride=window.stride,
            dilation=window.dilation,
            groups=bands.planes,
            algorithm=algorithm,
            threads=threads,
        )

    @cache  # the bands have one height, but the last
    def plan(band_rows: int) -> Plan:
        work = decided(band_rows)
        return Plan(work.operation, work.weights, None)

    # Of float64: the sums of this band and of the one before; with alpha the means, too, and what is made of them.
    sums_bytes = (4 if photo.alpha is not None else 2) * len(filters) * bands.planes * bands.rows * columns * 8
    way_out = "use a smaller kernel or dilation, or scale the photograph down first"
    padded, span = window.padded_shape, window.span[0]
    what = "filtering {} × {} pixels, padded, with a window of {} rows"
    size += bands.nbytes + sums_bytes
    require_memory(size, way_out, what, *padded[::-1], span)
    size += decided(bands.rows).operation.workspace_bytes
    require_memory(size, way_out, what, *padded[::-1], span)

    result = np.empty((rows, columns, bands.planes), photo.samples.dtype)
    middle_rows, middle_columns = _middles(geometry)
    bands.open()
    for first in range(0, rows, bands.rows):
        last = min(first + bands.rows, rows)
        with np.errstate(all="ignore"):  # infinities and NaN of floating-point samples go where the kernel takes them
            sums = plan(last - first)(bands.band(first, last))
            if photo.alpha is not None:
                middles = middle_rows[first:last, None], middle_columns
                result[first:last, :, -1] = photo.alpha[middles]
                both = sums.reshape(-1, len(filters), *sums.shape[1:])
                sums = _unknown_replaced(both, kernel, maximum or 1, photo.samples[middles])
            sums /= kernel.divisor
            values = sums
            if maximum is not None:
                values = sums.astype(np.float32, copy=False)
                if signed:
                    values += (maximum + 1) // 2
                np.rint(values, out=values)
                np.clip(values, 0, maximum, out=values)
            result[first:last, :, : len(values)] = values.transpose(1, 2, 0)
        if progress is not None:
            progress(last, rows)
    return Photo.of(result, photo.metadata, photo.notes)


def result_geometry(
    photo: Photo, kernel: ImageKernel, *, stride: Window = 1, padding: Padding = "same", dilation: Window = 1
) -> Geometry:
    """Return the window on a photograph; its `output_shape` is the size of the result."""
    return resolve_geometry("HW", photo.samples.shape[:2], kernel.weights.shape, stride, padding, dilation)


def _filters(kernel: ImageKernel, dtype: np.dtype[Any], *, transparent: bool) -> NDArray[Any]:
    """Return the filters of each plane, (1 or 2, 1, kh, kw): the weights, and for a mean their magnitudes."""
    weights = kernel.weights.astype(dtype)
    both = transparent and float(weights.min()) < 0
    return np.stack([weights, np.abs(weights)] if both else [weights])[:, None]


def _unknown_replaced(sums: NDArray[Any], kernel: ImageKernel, opaque: int, middle: NDArray[Any]) -> NDArray[Any]:
    """Return the colours' sums, in which the mean of what is seen stands for what is not; see `filter_photo`.

    Parameters
    ----------
    sums : ndarray, (C + 1, 1 or 2, H, W)
        Of weights, and of their magnitudes where they differ, times colours that are multiplied by alpha, and times
        alpha.
    kernel : ImageKernel
    opaque : int
        The greatest alpha.
    middle : ndarray, (H, W, C)
        The colours under the middles of the windows.
    """
    signed, magnitudes = sums[:, 0], sums[:, -1]
    seen = magnitudes[-1]
    means = np.where(seen > 0, magnitudes[:-1] / seen, middle.transpose(2, 0, 1))
    unseen = float(kernel.weights.sum()) * opaque - signed[-1]
    result: NDArray[Any] = (signed[:-1] + means * unseen) / opaque
    return result


def _as_named(kernel: str | ImageKernel | ArrayLike) -> ImageKernel:
    if isinstance(kernel, ImageKernel):
        return kernel
    return find_kernel(kernel) if isinstance(kernel, str) else as_kernel(kernel)


def _exact_dtype(kernel: ImageKernel, photo: Photo) -> np.dtype[Any]:
    """Return a dtype in which every sum of weights times samples is exact, or as good as: see `filter_photo`."""
    if photo.maximum is None or photo.alpha is not None:
        return np.dtype(np.float64)
    integers = bool((kernel.weights == np.rint(kernel.weights)).all())
    exact = integers and float(np.abs(kernel.weights).sum()) * photo.maximum <= 1 << 24
    return np.dtype(np.float32 if exact else np.float64)


def _middles(geometry: Geometry) -> list[NDArray[np.int64]]:
    """Return the rows and the columns under the middles of the windows."""
    return [
        np.clip(np.arange(stops) * step - before + (span - 1) // 2, 0, n - 1)
        for n, stops, step, (before, _), span in zip(
            geometry.spatial_shape,
            geometry.output_shape,
            geometry.stride,
            geometry.padding,
            geometry.span,
            strict=True,
        )
    ]


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
    **options
        The keywords of `filter_photo`.

    Returns
    -------
    Filtered

    Raises
    ------
    Im2colError
        As `read_photo`, `filter_photo` and `write_photo`.
    """
    check_writable(target, force=force)
    weights = find_kernel(kernel)
    like = permissions(source)
    photo = read_photo(source, large=large)
    window = {name: options[name] for name in ("stride", "padding", "dilation") if name in options}
    rows, columns = result_geometry(photo, weights, **window).output_shape
    format_for(target, photo.mode, (columns, rows))
    before, notes = str(photo), photo.notes
    # The photograph is let go before the result is written, whose encoder may need as much.
    photo = filter_photo(photo, weights, **options)
    lost = write_photo(photo, target, force=force, like=like)
    return Filtered(before, str(photo), (*notes, *_brightness(weights), *lost))


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
