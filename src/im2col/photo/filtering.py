"""Photographs: filtered with a kernel, from file to file."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..errors import named
from ..files import check_target
from ..layers.convolution import convolution
from ..layers.plan import Plan
from ..spec.padding import check_mode, modes_along, resolve_geometry, source_index
from .image_files import Photo, format_for, read_photo, write_photo
from .kernels import ImageKernel, as_kernel, find_kernel

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray

    from ..files import Progress
    from ..spec.geometry import Geometry, Window
    from ..spec.padding import Padding, PaddingMode

BAND_SAMPLES = 1 << 20
"""Samples of the photograph that are filtered at once: 4 MiB of float32."""


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
        Add mid-grey (128, or 32768), so that negative results show as darker than even areas.
    algorithm, threads
        As for `conv2d`.
    progress : callable, optional
        ``progress(done, total)``, in rows of the result, after each band.

    Returns
    -------
    Photo
        Samples rounded half to even and clipped to the range of their dtype. Alpha is not filtered: each pixel takes
        the opacity of the pixel under the middle of its window (beyond the edge: of the nearest pixel).

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
    leaves in its last bits.

    Examples
    --------
    >>> import numpy as np
    >>> photo = Photo(np.full((4, 5, 3), 100, np.uint8))
    >>> print(filter_photo(photo, "blur", stride=2))
    3 × 2 RGB
    """
    kernel = _as_named(kernel)
    height, width, channels = photo.samples.shape
    geometry = resolve_geometry("HW", (height, width), kernel.weights.shape, stride, padding, dilation)
    mode = check_mode(padding_mode, geometry)
    maximum = np.iinfo(photo.samples.dtype).max
    dtype = _exact_dtype(kernel, int(maximum))
    rows, columns = geometry.output_shape
    size = rows * columns * channels * photo.samples.itemsize + 8 * geometry.padded_shape[0]
    require_memory(size, "use less padding", "the result of {} × {} pixels", columns, rows)

    @cache  # the bands have one height, but the last
    def plan(band_height: int) -> Plan:
        work = convolution(
            (channels, band_height, width),
            dtype,
            np.broadcast_to(kernel.weights.astype(dtype), (channels, 1, *kernel.weights.shape)),
            None,
            stride=geometry.stride,
            padding=((0, 0), geometry.padding[1]),
            dilation=geometry.dilation,
            groups=channels,
            padding_mode=padding_mode,
            algorithm=algorithm,
            threads=threads,
        )
        return Plan(work.operation, work.weights, None)

    result = np.empty((rows, columns, channels), photo.samples.dtype)
    source = source_index(height, *geometry.padding[0], modes_along(mode, 2)[0])
    step, span = geometry.stride[0], geometry.span[0]
    band_rows = max(1, (BAND_SAMPLES // (width * channels) - span) // step + 1)
    for first in range(0, rows, band_rows):
        last = min(first + band_rows, rows)
        shown = source[first * step : (last - 1) * step + span]
        band = photo.samples[shown].transpose(2, 0, 1).astype(dtype)
        band[:, shown < 0] = 0
        sums = plan(len(shown))(band)
        sums /= kernel.divisor
        values = sums.astype(np.float32, copy=False)
        if signed:
            values += (int(maximum) + 1) // 2
        np.rint(values, out=values)
        np.clip(values, 0, maximum, out=values)
        result[first:last] = values.transpose(1, 2, 0)
        if progress is not None:
            progress(last, rows)
    alpha = None if photo.alpha is None else _alpha_under(photo.alpha, geometry)
    return replace(photo, samples=result, alpha=alpha)


def _as_named(kernel: str | ImageKernel | ArrayLike) -> ImageKernel:
    if isinstance(kernel, ImageKernel):
        return kernel
    return find_kernel(kernel) if isinstance(kernel, str) else as_kernel(kernel)


def _exact_dtype(kernel: ImageKernel, maximum: int) -> np.dtype[Any]:
    """Return a dtype in which every sum of weights times samples is exact, or as good as: see `filter_photo`."""
    integers = bool((kernel.weights == np.rint(kernel.weights)).all())
    exact = integers and float(np.abs(kernel.weights).sum()) * maximum <= 1 << 24
    return np.dtype(np.float32 if exact else np.float64)


def _alpha_under(alpha: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """Return the opacity under the middle of each window."""
    middles = [
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
    return alpha[np.ix_(*middles)]


@named
def filter_file(
    source: str | os.PathLike[str],
    kernel: str,
    target: str | os.PathLike[str],
    *,
    force: bool = False,
    large: bool = False,
    **options: Any,
) -> tuple[Photo, Photo]:
    """Read a photograph, filter it, and write the result; what can fail is tried before the work.

    Parameters
    ----------
    source, target : path-like
        The image files.
    kernel : str
        A name, or the path of a .npy file.
    force, large : bool
        As for `write_photo` and `read_photo`.
    **options
        The keywords of `filter_photo`.

    Returns
    -------
    (Photo, Photo)
        What was read and what was written.

    Raises
    ------
    Im2colError
        As `read_photo`, `filter_photo` and `write_photo`.
    """
    check_target(target, force=force)
    weights = find_kernel(kernel)
    photo = read_photo(source, large=large)
    format_for(target, photo.mode)
    result = filter_photo(photo, weights, **options)
    write_photo(result, target, force=force)
    return photo, result
