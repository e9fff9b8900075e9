"""How column matrices of one kind become images: all that `col2im` knows before it sees the entries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np

from ..engine import gather, scatter
from ..engine.compiler import EngineError
from ..engine.host import array_bytes, require_memory
from ..engine.threads import resolve_threads
from ..errors import DTypeError, ShapeError
from ..importing import importing
from ..spec.arguments import check_choice, checked_shape
from ..spec.arrays import check_numbers, check_output, is_registered_integer, native, own, strided, sum_dtype, wider
from ..spec.padding import check_mode
from .apart import copies_pay, copy_entries
from .arithmetic import accumulator, divide, weighed
from .fold import Reduction, resolve_fold
from .frame import resolve_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..engine.sequence import Steps
    from .fold import Fold
    from .frame import Frame

_REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
_MATRIX, _IMAGE = range(2)
"""The arrays of `WayBack.steps`."""
_WAY_OUT = "fold it in parts"
_LARGE_IMAGE = 16 << 20
"""Bytes of an image from which on a call costs nothing beside its pixels, and a pattern of it is not made in vain."""


class WayBack(NamedTuple):
    """How column matrices of one shape, dtype and strides become images.

    Parameters
    ----------
    frame : Frame
    shape : tuple of int
        Of the image.
    returned : dtype
        Of the image.
    fold : Fold
        It takes columns of its own dtype, and returns its own.
    threads : int
    nbytes : int
        Of the matrix.
    workspace : int
        Bytes that are taken beside matrix and image.
    copied : bool
        Whether the image is zeros and copies of the entries.
    steps : Steps, optional
        How a matrix that is summed by one thread is summed by one call of the engine.
    divisor : ndarray, optional
        What those sums are divided by, over the spatial axes.
    was_seen : bool
        Whether it was looked for that.
    """

    frame: Frame
    shape: tuple[int, ...]
    returned: np.dtype[Any]
    fold: Fold
    threads: int
    nbytes: int
    workspace: int
    copied: bool = False
    steps: Steps | None = None
    divisor: NDArray[Any] | None = None
    was_seen: bool = False

    def suits(self, threads: int | None) -> bool:
        """Whether it is that of a call with this argument: threads may have been set meanwhile, and may matter."""
        alone = self.fold.tasks == 1 and scatter.worthy_threads(self.nbytes, 2) == 1
        return alone or self.threads == resolve_threads(threads)

    def image(self, matrix: NDArray[Any], weights: NDArray[Any] | None, out: Any) -> NDArray[Any]:
        """Return where the image goes, after a look at the memory that all of it takes: zeros, if some are to stay.

        Raises
        ------
        OutputError, MemoryBudgetError
        """
        shape, workspace, result = self.shape, self.workspace, self.fold.result
        size = 0 if out is not None else array_bytes(shape, result.itemsize)
        if size >= workspace:
            require_memory(size, _WAY_OUT, "the image {} of {}", shape, result, beside=workspace)
        else:
            require_memory(workspace, _WAY_OUT, "what is summed for the image {} of {}", shape, result, beside=size)
        if out is None:
            return (np.zeros if self._keeps_zeros else np.empty)(shape, self.returned)
        image = check_output(out, shape, self.returned, [matrix] if weights is None else [matrix, weights])
        if self._keeps_zeros:
            image[...] = 0
        return image

    @property
    def _keeps_zeros(self) -> bool:
        """Whether entries are copied, not onto every pixel."""
        nbytes = math.prod(self.shape) * self.returned.itemsize
        return self.copied and (self.nbytes < nbytes or self.frame.geometry.is_padded)

    def fill(self, image: NDArray[Any], matrix: NDArray[Any], weights: NDArray[Any] | None) -> None:
        """Write what `image` has returned."""
        if self.copied:
            copy_entries(self.frame.layout.to_canonical(image), self.frame.canonical(matrix), self.fold.axes)
            return
        if self.steps is not None and image.flags.c_contiguous:
            given = matrix if weights is None else self._weighed(matrix, weights)
            source = id(given)
            self.steps.run_ids(source, id(image), source, source, source, source)
            if self.divisor is not None:
                with np.errstate(all="ignore"):
                    divide(self.frame.layout.to_canonical(image), self.divisor)
            return
        frame, fold = self.frame, self.fold
        total = image if self.returned == fold.result else np.empty(self.shape, fold.result)
        entries = matrix if native(matrix.dtype) == fold.dtype else matrix.astype(fold.dtype)
        each = None if weights is None else self._weights(weights)
        fold.run(frame.layout.to_canonical(total), frame.canonical(entries), self.threads, each)
        if total is not image:
            np.copyto(image, total, casting="unsafe")  # means, which the given dtype holds as it held their terms

    def _weights(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Return a user's weights as (1 or C, *kernel), in the real dtype that sums are kept in."""
        return np.broadcast_to(own(weights), self.fold.weights_shape).astype(self.fold.real)

    def _weighed(self, matrix: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
        """Return the entries times their weights, (N, C, *kernel, *output)."""
        with np.errstate(all="ignore"):
            return weighed(self.frame.canonical(matrix), self._weights(weights), self.fold.accumulator)

    def seen_again(self, matrix: NDArray[Any]) -> WayBack:
        """Return it with its steps, if the image is sums that the engine makes, or their means; and seen in any case.

        A process that has not loaded the engine yet does not for the sake of small matrices.
        """
        if self.copied:
            return self._replace(was_seen=True)
        fold, divisor = self.fold, None
        floats = fold.is_plain or (fold.is_one_box and gather.is_small(self.nbytes))
        nbytes = math.prod(self.shape) * self.returned.itemsize
        alone = scatter.worthy_threads(self.nbytes, 2) == 1 and matrix.size and 0 < nbytes <= _LARGE_IMAGE
        if not (floats and alone and matrix.dtype == fold.dtype):
            return self._replace(was_seen=True)
        if fold.reduce == "mean":
            divisor = fold.divisor()
        return self._replace(steps=self._steps(matrix), divisor=divisor, was_seen=True)

    def _steps(self, matrix: NDArray[Any]) -> Steps | None:
        with importing:
            from ..engine.sequence import Round, Steps
            from ..engine.sums import sum_steps

        frame, image = self.frame, np.empty(self.shape, self.returned)
        given, entries = matrix, frame.canonical(matrix)
        if self.fold.weighted:
            given = entries = np.empty_like(entries)
        to = frame.layout.to_canonical(image)
        made = sum_steps((_IMAGE, image, to), (_MATRIX, given, entries), self.fold.axes)
        try:
            return Steps([Round(sums=made[0])], None, made[1]) if made else None
        except EngineError:  # it has warned
            return None


def way_back_of(
    matrix: NDArray[Any],
    weights: NDArray[Any] | None,
    image_shape: Sequence[int],
    kernel_size: object,
    stride: object,
    padding: object,
    dilation: object,
    layout: str | None,
    orientation: Any,
    tap_order: Any,
    padding_mode: object,
    reduce: Any,
    threads: int | None,
) -> WayBack:
    """Return the way back of a matrix, with all arguments of `col2im` but `out` checked.

    Raises
    ------
    ShapeError, GeometryError, LayoutError, ArgumentError, DTypeError
    """
    check_numbers("columns", matrix.dtype, integers=True)
    shape = checked_shape("image_shape", image_shape)
    frame = resolve_frame(shape, kernel_size, stride, padding, dilation, layout, orientation, tap_order)
    if matrix.shape != frame.matrix_shape:
        raise ShapeError(
            f"columns has shape {matrix.shape} but an image {shape} with these windows has the column matrix "
            f"{frame.matrix_shape} ({orientation}, {tap_order}); check image_shape, orientation and the window"
        )
    reduce = check_choice("reduce", reduce, _REDUCTIONS)
    mode = check_mode(padding_mode, frame.layout, frame.geometry)
    workers = resolve_threads(threads)
    given = native(matrix.dtype)
    # Other packages' integers are counted as bytes, whose sums grow.
    dtype = result = np.dtype(wider(given)) if is_registered_integer(given) else given
    weighted = 0 if weights is None else _check_weights(weights, frame, dtype)
    if reduce == "sum" and dtype.kind in "biu":
        result = sum_dtype(dtype)
    g = frame.geometry
    windows = (g.spatial_shape, g.kernel_size, g.stride, g.padding, g.dilation)
    fold = resolve_fold((frame.batch, frame.channels), windows, dtype, result, mode, reduce, weighted)
    workspace = fold.workspace_bytes(workers)
    if dtype != given:
        workspace += matrix.nbytes + math.prod(shape)
    returned = given if reduce == "mean" else result
    copied = False
    if fold.is_plain and matrix.dtype == dtype == result and all(shape):
        strides = frame.layout.strides(*fold.planes, g.spatial_shape, dtype.itemsize)
        image = strided(np.empty(1, dtype), (*fold.planes, *g.spatial_shape), strides)
        copied = copies_pay(image, frame.canonical(matrix), fold.axes, workers)
    return WayBack(frame, shape, returned, fold, workers, matrix.nbytes, workspace, copied)


def _check_weights(weights: NDArray[Any], frame: Frame, dtype: np.dtype[Any]) -> int:
    """Return for how many channels a user's weights are: 1 where all share them."""
    check_numbers("tap_weights", weights.dtype, integers=True)
    kernel = frame.geometry.kernel_size
    whole = (1 if weights.ndim <= len(kernel) else frame.channels, *kernel)
    if weights.ndim > len(whole) or any(
        n not in {1, m} for n, m in zip(weights.shape[::-1], whole[::-1], strict=False)
    ):
        raise ShapeError(
            f"tap_weights has shape {weights.shape}, which does not broadcast to kernel_size {kernel} nor to "
            f"(C, *kernel_size) {(frame.channels, *kernel)}; pass one weight for each tap"
        )
    kind = own(np.empty(0, weights.dtype)).dtype
    if kind.kind == "c":
        raise DTypeError(f"tap_weights has dtype {kind} but weights are real; pass tap_weights.real")
    sums = np.empty(0, accumulator(native(dtype))).real.dtype
    if sums.kind in "iu" and kind.kind not in "biu":
        raise DTypeError(
            f"tap_weights has dtype {kind} but {dtype} columns are summed as {sums}, which would cut the "
            "weights to integers; convert the columns first, as in columns.astype(np.float32)"
        )
    return whole[0]
