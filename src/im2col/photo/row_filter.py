"""A filter that takes a photograph's rows from anywhere, band by band, and hands on those of the result."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..blocks.product import digest
from ..engine.host import require_memory
from ..engine.threads import resolve_threads, run_parallel
from ..errors import ArgumentError
from ..layers.convolution import convolution
from ..layers.plan import Plan
from ..spec.layout import Layout
from ..spec.padding import check_mode, resolve_geometry
from .bands import Bands, rows_at
from .kernels import in_whole_numbers
from .photograph import Blank
from .pixel_kernels import as_pixels
from .reach import within_reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ..files import Progress
    from ..layers.operation import Work
    from ..spec.geometry import Geometry, Window
    from ..spec.padding import Padding, PaddingMode
    from .kernels import ImageKernel
    from .photograph import Pixels, Rows

_AT_ONCE = 1 << 17
"""Sums that a thread rounds at once."""
_EXACT = 1 << 24
"""The integers up to which float32 has all."""
_FEW = 15 * 15
"""Taps up to which exact sums take less time than frequencies, which are for float64."""
_IN_ORDER = frozenset({"auto", "implicit", "reference"})
"""Algorithms whose sums have one order where they are told to."""
_QUOTIENT = 1 << 23
"""Of the greatest pixel times weights or their divisor: up to it no quotient but a half itself is rounded to a half, so
that a pixel is the same whether sums are divided, or the weights were, in float64."""


class RowFilter:
    """A photograph and a kernel, all arguments checked; see `filter_photo` for what they mean.

    Parameters
    ----------
    photo : Rows
    kernel : ImageKernel
    stride, padding, dilation, padding_mode, signed, algorithm, threads
        As for `filter_photo`.

    Raises
    ------
    GeometryError, ArgumentError, DTypeError
        If an argument does not fit.
    """

    def __init__(
        self,
        photo: Rows,
        kernel: ImageKernel,
        *,
        stride: Window = 1,
        padding: Padding = "same",
        dilation: Window = 1,
        padding_mode: PaddingMode = "edge",
        signed: bool = False,
        algorithm: str = "auto",
        threads: int | None = None,
    ) -> None:
        self._geometry = window_on(photo, kernel, stride=stride, padding=padding, dilation=dilation)
        mode = check_mode(padding_mode, Layout("HW"), self._geometry)
        if signed and photo.maximum is None:
            raise ArgumentError("signed is for integers: floating-point samples hold negative results as they are")
        self._photo, self._signed, self._mode = photo, signed, mode
        self._transparent = photo.planes > photo.colours
        few = not self._transparent and kernel.weights.size <= _FEW
        # Not for algorithms that may mix windows, which is not done with exact sums.
        if photo.maximum is not None and few and algorithm in _IN_ORDER:
            kernel = in_whole_numbers(kernel, _QUOTIENT // photo.maximum)
        self._kernel = kernel
        self._threads = resolve_threads(threads)
        self._dtype = exact_dtype(kernel, photo)
        self._filters, self._window = within_reach(
            _filters(kernel, self._dtype, self._transparent), self._geometry, mode
        )
        order = _order_of_sums(self._dtype, photo, algorithm)
        self._options = {"algorithm": algorithm, "threads": threads} | order
        one_height = order.get("chunked") is False
        self._bands = Bands(photo, self._window, mode, self._dtype, self._threads, one_height=one_height)
        height, width = self._geometry.output_shape
        self.result = Blank((height, width, photo.planes), photo.dtype, photo.metadata, photo.notes)

    def _decided(self, rows: int) -> Work:
        """Return the convolution of a band from which so many rows are made."""
        window, (_, *size), (images, groups) = self._window, self._bands.shape(rows), self._split
        return convolution(
            (images, groups, *size),
            self._dtype,
            np.tile(self._filters, (groups, 1, 1, 1)),
            None,
            stride=window.stride,
            dilation=window.dilation,
            groups=groups,
            prepared=True,
            **self._options,
        )

    @property
    def _split(self) -> tuple[int, int]:
        """Images, and groups of each, that planes are: images where sums have one order, as two passes want it."""
        planes = self._bands.planes
        return (planes, 1) if self._photo.maximum is None else (1, planes)

    @property
    def bytes_at_once(self) -> int:
        """Bytes of the rows of the result that are handed on together, at most."""
        _, width, planes = self.result.shape
        return self._bands.together * width * planes * self.result.dtype.itemsize

    def require_memory(self, beside: int) -> None:
        """Raise `MemoryBudgetError` where what `run` takes would not fit the available memory.

        Parameters
        ----------
        beside : int
            Bytes that whoever takes the rows needs for them.
        """
        bands, photo = self._bands, self._photo
        _, width, planes = self.result.shape
        # Sums, and with alpha the means, too, and what is made of them; and the rows of the result.
        sums = len(self._filters) * planes * bands.rows * width
        size = beside + photo.nbytes_open + bands.nbytes + sums * self._dtype.itemsize
        size += self.bytes_at_once * (2 if self._transparent else 1)
        together = max(_AT_ONCE, len(self._filters) * planes * width)
        size += 8 * self._threads * together * (5 if self._transparent else 1)
        (padded_height, padded_width), span = self._window.padded_shape, self._window.span[0]

        def require(size: int) -> None:
            require_memory(
                size,
                "use a smaller kernel or dilation, or scale the photograph down first",
                "filtering {} × {} pixels, padded, with a window of {} rows",
                padded_width,
                padded_height,
                span,
            )

        require(size)  # before the work is planned, which takes long where no memory is large enough
        require(size + self._decided(bands.rows).operation.workspace_bytes)

    @property
    def identity(self) -> dict[str, str]:
        """What makes another filter give the same rows, in bands of the same height: in words, or as a digest."""
        decided, weights = self._decided(self._bands.rows), self._kernel.weights
        layer = self._geometry, self._mode, self._signed
        sums = self._dtype, self._options["algorithm"], decided.operation.choices[0].offer.target
        return {
            "weights": digest(weights.tobytes(), repr((weights.shape, self._kernel.divisor)).encode()),
            "options": digest(repr(layer).encode()),
            "algorithm or CPU": digest(repr(sums).encode()),
            "bands": f"{self._bands.together} rows",
        }

    def run(self, write: Callable[[NDArray[Any]], None], progress: Progress | None = None, *, wanted: int = 0) -> None:
        """Filter rows.

        Parameters
        ----------
        write : callable
            Takes the next rows of the result, (n, W, C), which are good until it returns.
        progress : callable, optional
            As for `filter_photo`.
        wanted : int
            The first row that is handed on.
        """
        bands = self._bands
        height, width, planes = self.result.shape

        @cache  # the bands have one height, but the last
        def plan(rows: int) -> Plan:
            work = self._decided(rows)
            return Plan(work.operation, work.weights, None)

        bands.open()
        sums_of_band: NDArray[Any] | None = None
        room = np.empty((bands.together, width, planes), self.result.dtype)
        start = wanted // bands.together * bands.together  # of what is handed on next
        for first in range(start, height, bands.rows) if wanted < height else ():
            last = min(first + bands.rows, height)
            count = last - first
            if sums_of_band is not None and sums_of_band.shape[-2] != count:
                sums_of_band = None
            with np.errstate(all="ignore"):  # infinities and NaN of samples go where the kernel takes them
                band = bands.band(first, last)
                sums_of_band = plan(count)(band.reshape(*self._split, *band.shape[1:]), sums_of_band)
            self._finish(sums_of_band, first, room[first - start : last - start])
            if last - start == len(room) or last == height:
                write(room[max(0, wanted - start) : last - start])
                start = last
                if progress is not None:
                    progress(last, height)

    def _finish(self, sums: NDArray[Any], first: int, to: NDArray[Any]) -> None:
        """Make rows of the result of a band's sums, on all threads."""
        photo = self._photo
        originals = None
        if self._transparent:
            rows, columns = _middles(self._geometry)
            originals = rows_at(photo, rows[first : first + len(to)])[:, columns]
        by_plane = sums.reshape(photo.planes, len(self._filters), *sums.shape[-2:])
        at_once = max(1, _AT_ONCE // by_plane[:, :, 0].size)

        def part(rows: slice) -> None:
            with np.errstate(all="ignore"):
                self._round(by_plane[:, :, rows], None if originals is None else originals[rows], to[rows])

        run_parallel(
            (partial(part, slice(top, top + at_once)) for top in range(0, len(to), at_once)),
            min(self._threads, -(-len(to) // at_once)),
        )

    def _round(self, sums: NDArray[Any], originals: NDArray[Any] | None, to: NDArray[Any]) -> None:
        """Write rows of the result: of sums, (planes, 1 or 2, n, W), and the pixels under the windows' middles."""
        maximum = self._photo.maximum
        values = sums[:, 0]
        if originals is not None:
            to[:, :, -1] = originals[:, :, -1]
            values = _unknown_replaced(sums, self._kernel, maximum or 1, originals[:, :, :-1])
        colours, divisor = to[:, :, : self._photo.colours], self._kernel.divisor
        if maximum is not None:
            offset = (maximum + 1) // 2 if self._signed else 0
            as_pixels(values, colours, divisor=divisor, offset=offset, maximum=maximum)
        else:
            colours[...] = (values if divisor == 1 else values / divisor).transpose(1, 2, 0)


def window_on(
    photo: Pixels, kernel: ImageKernel, *, stride: Window = 1, padding: Padding = "same", dilation: Window = 1
) -> Geometry:
    """Return the window on a photograph; its `output_shape` is the size of the result."""
    return resolve_geometry("HW", photo.shape[:2], kernel.weights.shape, stride, padding, dilation)


def exact_dtype(kernel: ImageKernel, photo: Pixels) -> np.dtype[Any]:
    """Return a dtype in which every sum of weights times samples is exact, or as good as: see `filter_photo`."""
    if photo.maximum is None or photo.planes > photo.colours:
        return np.dtype(np.float64)
    # In units of the last bit that any weight has.
    mantissas, exponents = np.frexp(kernel.weights)
    bits = (mantissas * 2.0**53).astype(np.int64)
    units = np.ldexp((bits & -bits).astype(float), exponents - 53)[bits != 0]
    unit = float(units.min(initial=np.inf))
    exact = bool(np.abs(kernel.weights).sum() * photo.maximum <= _EXACT * unit)
    return np.dtype(np.float32 if exact else np.float64)


def _order_of_sums(dtype: np.dtype[Any], photo: Pixels, algorithm: str) -> dict[str, Any]:
    """Return the options by which no pixel depends on where bands are cut.

    Exact sums stay exact where no windows are mixed. Integers in float64 may be summed in any order, and windows mixed:
    what that leaves in the last bits does not survive the rounding to float32. Where 0 must stay 0, as of what nobody
    sees, windows are not mixed, either. Floating-point samples, which may be of any magnitude, have one order.
    """
    if photo.maximum is None:
        return {"chunked": algorithm in _IN_ORDER}
    mixed = dtype == np.float64 and photo.planes == photo.colours
    return {"precision": "native" if mixed else "strict"}


def _filters(kernel: ImageKernel, dtype: np.dtype[Any], transparent: bool) -> NDArray[Any]:
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


def _middles(geometry: Geometry) -> Iterator[NDArray[np.int64]]:
    """Yield the rows and the columns under the middles of the windows."""
    for n, stops, step, (before, _), span in zip(
        geometry.spatial_shape,
        geometry.output_shape,
        geometry.stride,
        geometry.padding,
        geometry.span,
        strict=True,
    ):
        yield np.clip(np.arange(stops) * step - before + (span - 1) // 2, 0, n - 1)
