"""Strided sums: matrix → image.

Every tap of a window adds a part of the matrix to a part of the image, shifted by the tap. The parts are cut into boxes
that stay in cache: bands of the image's first axis, and within them bands of the output's, in an order that depends on
shapes and strides alone. So each pixel's copies are added in one order, however many threads work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .compiler import load, loaded
from .scatter_kernels import BOX_COLUMNS, MOST_AXES, Element, add_boxes
from .threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from .compiler import Kernel

_WORTH_A_CALL = 16 << 10
"""Bytes of matrix below which NumPy is as fast."""
_WORTH_LOADING = 512 << 10
"""Bytes of matrix below which a kernel that is not loaded yet is not worth loading."""
_WORTH_A_THREAD = 512 << 10
_IMAGE_BAND_BYTES = 256 << 10
"""A band of one image plane: it stays in the second level of cache while all taps are added to it."""
_MATRIX_BAND_BYTES = 512 << 10
"""A band of matrix rows, where a patch is a row: its lines are read once and used for all taps and channels."""
_TABLE_BYTES = 128 << 10


@dataclass(frozen=True)
class Region:
    """One tap, and the positions at which it lies on the image.

    ``matrix[..., *kernel, *output]`` belongs to ``image[..., *pixels]``; both have the same shape.
    """

    kernel: tuple[int, ...]
    output: tuple[slice, ...]
    pixels: tuple[slice, ...]


def add_regions(image: NDArray[Any], matrix: NDArray[Any], regions: Sequence[Region], threads: int) -> None:
    """Set an image to the sum of its patches.

    Parameters
    ----------
    image : ndarray, (N, C, *spatial)
        Overwritten; any strides.
    matrix : ndarray, (N, C, *kernel, *output)
        Any strides; shares no memory with `image`. Values are cast to the image's dtype before they are added.
    regions : sequence of Region
        For each tap, in the order in which a pixel's copies are added. Strides of all pixel slices are the same.
    threads : int
        How many threads may work.
    """
    kernel = _kernel(image, matrix, regions)
    function = None
    if kernel is not None and matrix.nbytes >= _WORTH_A_CALL:
        function = loaded(kernel) if matrix.nbytes < _WORTH_LOADING else load(kernel)
    if function is None:
        _add_with_numpy(image, matrix, regions)
        return
    workers = min(threads, max(1, matrix.nbytes // _WORTH_A_THREAD))
    boxes = _Boxes.of(image, matrix, regions)
    run_parallel([partial(boxes.add, function, *task) for task in boxes.tasks(workers)], workers)


def _add_with_numpy(image: NDArray[Any], matrix: NDArray[Any], regions: Sequence[Region]) -> None:
    image[...] = 0
    for region in regions:
        where: Any = (slice(None), slice(None), *region.pixels)
        part: Any = (slice(None), slice(None), *region.kernel, *region.output)
        np.add(image[where], matrix[part], out=image[where], casting="unsafe", dtype=image.dtype)


def _kernel(image: NDArray[Any], matrix: NDArray[Any], regions: Sequence[Region]) -> Kernel | None:
    """Return the kernel for these arrays, or None where there is none."""
    total, value = image.dtype, matrix.dtype
    lanes = 2 if total.kind == "c" else 1
    floats = total == value and total.kind in "fc" and total.itemsize // lanes in (4, 8)
    integers = total.kind in "iu" and total.itemsize == 8 and value.kind in "biu"
    if not (regions and (floats or integers) and image.ndim - 2 <= MOST_AXES and value.isnative):
        return None
    kinds = {"c": "f", "b": "u"}
    total_name, value_name = (kinds.get(d.kind, d.kind) + str(d.itemsize // lanes) for d in (total, value))
    step = image.strides[-1] * regions[0].pixels[-1].step
    dense = step == total.itemsize and matrix.strides[-1] == value.itemsize
    return add_boxes(Element(total_name, value_name, lanes), dense)


@dataclass(frozen=True)
class _Boxes:
    """The parts that belong together, cut along the first spatial axis into bands.

    All tables have an entry for each region. Along an axis, output position ``o`` belongs to pixel
    ``o · stride + shift``, for ``first <= o < stop``.
    """

    image: NDArray[Any]
    matrix: NDArray[Any]
    stride: int
    shift: NDArray[np.int64]
    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    """Of the first axis."""
    image_offset: NDArray[np.int64]
    matrix_offset: NDArray[np.int64]
    """Of everything but the first axis, in bytes."""
    sides: NDArray[np.int64]
    """Lengths of the other axes, (regions, spatial axes - 1)."""
    steps: NDArray[np.int64]

    @classmethod
    def of(cls, image: NDArray[Any], matrix: NDArray[Any], regions: Sequence[Region]) -> _Boxes:
        k = image.ndim - 2
        pixel_strides = np.array(image.strides[2:])
        tap_strides, output_strides = np.array(matrix.strides[2 : 2 + k]), np.array(matrix.strides[2 + k :])
        taps = np.array([r.kernel for r in regions])
        pixels = np.array([[s.start for s in r.pixels] for r in regions])
        starts = np.array([[s.start for s in r.output] for r in regions])
        stops = np.array([[s.stop for s in r.output] for r in regions])
        strides = np.array([s.step for s in regions[0].pixels])
        steps = np.zeros((2, MOST_AXES), np.int64)
        steps[:, MOST_AXES - k :] = pixel_strides * strides, output_strides
        return cls(
            image=image,
            matrix=matrix,
            stride=int(strides[0]),
            shift=pixels[:, 0] - starts[:, 0] * strides[0],
            first=starts[:, 0],
            stop=stops[:, 0],
            image_offset=pixels[:, 1:] @ pixel_strides[1:],
            matrix_offset=taps @ tap_strides + starts[:, 1:] @ output_strides[1:],
            sides=(stops - starts)[:, 1:],
            steps=steps,
        )

    @property
    def _patch_is_row(self) -> bool:
        """Whether the taps of a position lie nearer to each other than the positions of a tap."""
        return abs(self.matrix.strides[-1]) > self.matrix.itemsize

    def tasks(self, workers: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield disjoint parts of the image: an image of the batch, some of its planes, a range of its rows."""
        batch, planes, rows = self.image.shape[:3]
        parts = 1 if batch >= 2 * workers else workers
        by_plane = planes >= parts and not self._patch_is_row
        length = planes if by_plane else rows
        edges = [length * i // parts for i in range(parts + 1)]
        for n in range(batch):
            for start, stop in zip(edges, edges[1:], strict=False):
                yield (n, slice(start, stop), slice(0, rows)) if by_plane else (n, slice(0, planes), slice(start, stop))

    def add(self, function: Callable[..., None], n: int, planes: slice, rows: slice) -> None:
        """Compute one part of the image."""
        part = self.image[n, planes]
        part[:, rows] = 0
        values = self.matrix[n, planes]
        for table in self._tables(rows):
            function(
                part.ctypes.data,
                values.ctypes.data,
                len(table),
                len(part),
                len(self.shift),
                part.strides[0],
                values.strides[0],
                table.ctypes.data,
                self.steps.ctypes.data,
            )

    def _tables(self, rows: slice) -> Iterator[NDArray[np.int64]]:
        """Yield tables of boxes, (bands, regions, columns), for a range of image rows."""
        bands = max(1, _TABLE_BYTES // (8 * BOX_COLUMNS * len(self.shift)))
        starts, stops, low, high = self._bands(rows)
        for at in range(0, len(low), bands):
            cut = slice(at, at + bands)
            yield self._table(starts[cut], stops[cut], low[cut], high[cut])

    def _bands(self, rows: slice) -> tuple[NDArray[np.int64], ...]:
        """Return each band's range of image rows and of output rows, four arrays of one length.

        Where a patch is a row, bands of the output keep the matrix in cache; their edges are the same whatever `rows`
        are, because they decide in which order a pixel's copies are added. Else bands of the image keep the image there.
        """
        outputs = self.matrix.shape[2 + self.image.ndim - 2]
        if self._patch_is_row:
            step = max(1, _MATRIX_BAND_BYTES * outputs // max(1, self.matrix[0].nbytes))
            low = np.arange(0, outputs, step)
            high = np.minimum(low + step, outputs)
            return np.full_like(low, rows.start), np.full_like(low, rows.stop), low, high
        row_bytes = self.image[0, 0, 0].nbytes
        step = max(1, _IMAGE_BAND_BYTES // max(1, row_bytes))
        starts = np.arange(rows.start, rows.stop, step)
        stops = np.minimum(starts + step, rows.stop)
        return starts, stops, np.zeros_like(starts), np.full_like(starts, outputs)

    def _table(
        self, starts: NDArray[np.int64], stops: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        first = np.maximum(np.maximum(self.first, low[:, None]), -((self.shift - starts[:, None]) // self.stride))
        stop = np.minimum(np.minimum(self.stop, high[:, None]), -((self.shift - stops[:, None]) // self.stride))
        k = self.image.ndim - 2
        table = np.ones((*first.shape, BOX_COLUMNS), np.int64)
        table[..., 0] = (first * self.stride + self.shift) * self.image.strides[2] + self.image_offset
        table[..., 1] = first * self.matrix.strides[2 + k] + self.matrix_offset
        table[..., -k] = stop - first
        if k > 1:
            table[..., -k + 1 :] = self.sides
        return table
