"""The main job: a layer of named kernels over a photograph, by every algorithm, each checked against NumPy alone."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import FileError, format_bytes, named
from .files import check_target
from .layers.costs import cost
from .layers.plan import plan
from .matrix.frame import weight_matrix
from .matrix.transform import im2col
from .photo.contact_sheet import Tile, write_contact_sheet
from .photo.image_files import read_photo
from .photo.kernels import KERNELS
from .photo.scaled import photo_image
from .pictures.illustration import illustrate

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .layers.costs import Cost
    from .layers.plan import Plan
    from .photo.kernels import ImageKernel
    from .photo.photograph import Photo
    from .spec.padding import ModeName

SIZE, STRIDE, PADDING = 5, 2, 2
"""Of the layer; its windows are as wide as the widest named kernel."""
PADDING_MODE: ModeName = "edge"
EXPLORED = ("sharpen", "sobel-x", "sobel-y", "laplacian")
"""The filters of the illustrated page, each over all colours."""
CROP = np.s_[:, 84:100, 164:180]
"""What the plain loops convolve: around an eye."""
_REPEAT_SECONDS = 0.3


@dataclass(frozen=True)
class Way:
    """How one way to compute the layer went.

    Parameters
    ----------
    name : str
        The algorithm.
    image : str
        What it convolved.
    seconds : float
        The best of several runs.
    planned_bytes : int or None
        The memory beside image and result that was foreseen.
    measured_bytes : int
        The most that was allocated at once to prepare and run it, beside image and result.
    difference : float
        The greatest from NumPy's result.
    tolerance : float
        How great it may be.
    """

    name: str
    image: str
    seconds: float
    planned_bytes: int | None
    measured_bytes: int
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance; a NaN is not."""
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class Report:
    """What the demo found.

    Parameters
    ----------
    photo : str
        What was convolved.
    kernels : tuple of str
        The names of the bank.
    cost : Cost
        Of the layer.
    ways : tuple of Way
        One for each algorithm, the whole matrix, and NumPy's own.
    sheet : Path
        The contact sheet.
    page : Path
        The explorer of the photograph.
    """

    photo: str
    kernels: tuple[str, ...]
    cost: Cost
    ways: tuple[Way, ...]
    sheet: Path
    page: Path

    @property
    def passed(self) -> bool:
        """Whether every way agrees with NumPy."""
        return all(way.passed for way in self.ways)

    def __str__(self) -> str:
        positions, taps = self.cost.matrix_shape
        maps, height, width = self.cost.output_shape
        kernels, size = len(self.kernels), format_bytes(self.cost.matrix_bytes)
        return "\n".join(
            (
                f"photograph     {self.photo}",
                f"layer          {kernels} kernels × 3 colours = {maps} filters of 3 × {SIZE} × {SIZE} taps, stride "
                f"{STRIDE}, padding {PADDING} ({PADDING_MODE})",
                f"kernels        {', '.join(self.kernels)}",
                f"output         {maps} maps of {width} × {height}",
                f"column matrix  {positions} positions × {taps} taps, {size} in float32; "
                f"it holds each sample {self.cost.duplication:.3g} times",
                f"work           {self.cost.flops / 1e9:.3g} GFLOP",
                "",
                *self._table(),
                "",
                "memory is beside image and result: what the plan foresees, and the peak that was measured;",
                "the difference is the greatest from NumPy's sliding_window_view and einsum in float64; "
                f"{self.ways[0].tolerance:.2g} is allowed,",
                f"the bound for sums of {taps} products in float32.",
                "",
                f"contact sheet  {self.sheet}",
                f"explorer       {self.page}: every step of it, in a browser",
            )
        )

    def _table(self) -> list[str]:
        rows = [("algorithm", "image", "time", "planned", "measured", "difference", "")]
        rows += [
            (
                way.name,
                way.image,
                f"{way.seconds * 1e3:.1f} ms",
                "" if way.planned_bytes is None else format_bytes(way.planned_bytes),
                format_bytes(way.measured_bytes),
                f"{way.difference:.1e}",
                "ok" if way.passed else "WRONG",
            )
            for way in self.ways
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        aligned = [
            "  ".join(
                cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return [line.rstrip() for line in aligned]


@named
def run_demo(folder: str | os.PathLike[str] = "demo-out", *, force: bool = False) -> Report:
    """Convolve the bundled photograph with a bank of kernels in every way, check each, and draw the results.

    Parameters
    ----------
    folder : path-like
        Where to write ``contact-sheet.png`` and ``explorer.html``; made if it is missing.
    force : bool
        Replace files of these names.

    Returns
    -------
    Report
        ``print`` it; `Report.passed` says whether every way agrees with NumPy.

    Raises
    ------
    FileError
        If a file cannot be written.
    MissingExtraError
        If Pillow is not installed.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise FileError(f"cannot make the folder {str(folder)!r}: {cause.strerror}; name another") from cause
    sheet, page = Path(folder) / "contact-sheet.png", Path(folder) / "explorer.html"
    for target in (sheet, page):
        check_target(target, force=force)
    with as_file(files(__package__) / "data/chelsea.jpg") as path:
        photo, small = read_photo(path), photo_image(path)
    bank = [kernel for kernel in KERNELS.values() if kernel.name != "identity"]
    w = layer_weights(bank)
    image = np.ascontiguousarray(photo.samples.transpose(2, 0, 1), np.float32)
    layer = cost(image.shape, w.shape, stride=STRIDE, padding=PADDING)
    ways = _ways(image, w, layer)
    # What "auto" takes is one of the algorithms that have just been checked.
    maps = plan(image.shape, w, stride=STRIDE, padding=PADDING, padding_mode=PADDING_MODE)(image)
    positions, taps = layer.matrix_shape
    write_contact_sheet(
        sheet,
        f"{len(bank)} kernels, one matrix product",
        f"im2col: ({positions} positions, {taps} taps) @ ({taps} taps, {len(w)} filters), stride {STRIDE}",
        tiles(photo, bank, maps),
        force=force,
    )
    eye = small.shape[2] * (small.shape[1] // 3) + small.shape[2] // 2
    explorer = illustrate(small, explored_weights(), padding=1, step=eye)
    explorer.save(page, force=force)
    return Report(f"chelsea.jpg, {photo}", tuple(k.name for k in bank), layer, ways, sheet, page)


def explored_weights() -> NDArray[np.int64]:
    """Return the filters of the illustrated page.

    Returns
    -------
    ndarray, (4, 3, 3, 3), int64
        Each filter has one kernel for all three colours.
    """
    kernels = [KERNELS[name].weights for name in EXPLORED]
    return np.stack([np.broadcast_to(kernel, (3, *kernel.shape)) for kernel in kernels]).astype(np.int64)


def layer_weights(bank: Sequence[ImageKernel]) -> NDArray[np.float32]:
    """Return kernels as the filters of a layer over RGB: each kernel once for each colour.

    Parameters
    ----------
    bank : sequence of ImageKernel
        At most 5 × 5 each.

    Returns
    -------
    ndarray, (3·len(bank), 3, 5, 5), float32
        Filter 3i + c applies kernel i to colour c and has zeros for the other two.
    """
    w = np.zeros((len(bank), 3, 3, SIZE, SIZE), np.float32)
    for i, kernel in enumerate(bank):
        height, width = kernel.weights.shape
        top, left = (SIZE - height) // 2, (SIZE - width) // 2
        for colour in range(3):
            w[i, colour, colour, top : top + height, left : left + width] = kernel.weights / kernel.divisor
    return w.reshape(-1, 3, SIZE, SIZE)


def numpy_layer(x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
    """Compute the layer with NumPy's own tools: the check from outside.

    Parameters
    ----------
    x : ndarray, (C, H, W)
    w : ndarray, (n, C, 5, 5)

    Returns
    -------
    ndarray, (n, *output)
    """
    padded = np.pad(x, ((0, 0), (PADDING, PADDING), (PADDING, PADDING)), mode=PADDING_MODE)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SIZE, SIZE), axis=(1, 2))
    result: NDArray[Any] = np.einsum("cyxij,fcij->fyx", windows[:, ::STRIDE, ::STRIDE], w)
    return result


def tiles(photo: Photo, bank: Sequence[ImageKernel], maps: NDArray[Any]) -> list[Tile]:
    """Return the photograph and the filtered pictures for the contact sheet.

    Parameters
    ----------
    photo : Photo
    bank : sequence of ImageKernel
    maps : ndarray, (3·len(bank), H, W)
        The layer's result.
    """
    pictures = maps.reshape(len(bank), 3, *maps.shape[1:]).transpose(0, 2, 3, 1)
    height, width, _ = photo.samples.shape
    sheet = [Tile(photo.samples, "original", f"{width} x {height}")]
    for kernel, picture in zip(bank, pictures, strict=True):
        shown = np.clip(np.rint(picture + 128 * kernel.sums_to_zero), 0, 255).astype(np.uint8)
        remark = " x ".join(map(str, kernel.weights.shape)) + ", 0 is mid-grey" * kernel.sums_to_zero
        sheet.append(Tile(shown, kernel.name, remark, kernel.weights))
    return sheet


def _ways(image: NDArray[Any], w: NDArray[Any], layer: Cost) -> tuple[Way, ...]:
    """Compute the layer by every algorithm, through the whole matrix, and with NumPy alone."""

    def make(name: str, x: NDArray[Any]) -> Plan:
        return plan(x.shape, w, stride=STRIDE, padding=PADDING, padding_mode=PADDING_MODE, algorithm=name)

    def prepare(name: str, x: NDArray[Any]) -> Callable[[], NDArray[Any]]:
        return partial(make(name, x), x)

    def whole_matrix() -> NDArray[Any]:
        columns = im2col(image, SIZE, stride=STRIDE, padding=PADDING, padding_mode=PADDING_MODE)
        product: NDArray[Any] = columns @ weight_matrix(w)
        return product.T.reshape(layer.output_shape)

    # The loops would take minutes over the whole photograph.
    crop = np.ascontiguousarray(image[CROP])
    expected, expected_crop = (numpy_layer(x.astype(np.float64), w.astype(np.float64)) for x in (image, crop))
    ways = []
    for name in layer.workspace_bytes:  # whatever can compute the layer here
        x, label, y = (
            (crop, f"{crop.shape[2]} × {crop.shape[1]} crop", expected_crop)
            if name == "reference"
            else (image, "whole", expected)
        )
        ways.append(_measure(name, label, partial(prepare, name, x), make(name, x).workspace_bytes, y, w))
    ways.append(_measure("im2col @ weight_matrix", "whole", lambda: whole_matrix, layer.matrix_bytes, expected, w))
    ways.append(_measure("NumPy's einsum", "whole", lambda: partial(numpy_layer, image, w), None, expected, w))
    return tuple(ways)


def _measure(
    name: str,
    image: str,
    prepare: Callable[[], Callable[[], NDArray[Any]]],
    planned_bytes: int | None,
    expected: NDArray[Any],
    w: NDArray[Any],
) -> Way:
    run, seconds = prepare(), list[float]()
    run()  # it loads what the others need
    while sum(seconds) < _REPEAT_SECONDS:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    # From the preparation on, because some ways keep what they have allocated.
    tracemalloc.start()
    result = prepare()()
    peak = tracemalloc.get_traced_memory()[1] - result.nbytes
    tracemalloc.stop()
    return Way(
        name=name,
        image=image,
        seconds=min(seconds),
        planned_bytes=planned_bytes,
        measured_bytes=peak,
        difference=float(np.abs(result - expected).max()),
        tolerance=_tolerance(w),
    )


def _tolerance(w: NDArray[Any]) -> float:
    """Return the bound on the error of a float32 sum of n products, n·u·sum |w|·|x|, for samples up to 255.

    N. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, section 3.1.
    """
    greatest_sum = float(np.abs(w).sum(axis=(1, 2, 3)).max())
    return float(w[0].size * 2.0**-24 * greatest_sum * 255)
