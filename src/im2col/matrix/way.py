"""How images of one kind become column matrices: all that `im2col` knows before it sees the pixels.

`way_back` has the same for `col2im`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeVar

import numpy as np

from ..engine import gather
from ..engine.compiler import EngineError, in_use
from ..engine.host import array_bytes, require_memory
from ..engine.threads import resolve_threads
from ..importing import importing
from ..memory import NOTHING, keep, recall, told_apart
from ..spec.arrays import check_output, is_registered, native
from ..spec.padding import check_mode, constant
from .frame import resolve_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..engine.sequence import Steps
    from ..spec.padded import Mode
    from .frame import Frame

_IMAGE, _PADDED, _MATRIX = range(3)
"""The arrays of `Way.steps`."""
_WAY_OUT = "use conv, which never makes it whole, or patches, a view that copies nothing"


class Remembered(Protocol):
    """What is remembered of a call: a `Way`, or a `WayBack`."""

    @property
    def was_seen(self) -> bool:
        """Whether an array was looked at, beside its kind."""
        ...

    def suits(self, threads: int | None) -> bool:
        """Whether it is that of a call with this argument: threads may have been set meanwhile, and may matter."""
        ...

    def seen_again(self, array: NDArray[Any]) -> Self:
        """Return it with its steps, if an array is small and the engine makes them; and seen in any case."""
        ...


W = TypeVar("W", bound=Remembered)


def remembered(
    function: Callable[..., Any],
    array: NDArray[Any],
    options: tuple[Any, ...],
    threads: int | None,
    make: Callable[[], W],
) -> W:
    """Return the way of an array: the one that was made for arrays of its kind, or a new one.

    Of a kind that comes again the way is looked for by which it is one call of the engine.

    Parameters
    ----------
    function : callable
        Whose way it is.
    array : ndarray
    options : tuple
        Whatever else the way depends on, beside the number of threads.
    threads : int or None
        The argument.
    make : callable
        It checks all of that.
    """
    plain = told_apart((*options, threads))
    if plain is None:
        return make()
    kind = function, array.shape, array.strides, array.dtype, plain
    way: Any = recall(kind)
    if way is NOTHING or not way.suits(threads):
        way = keep(kind, make())
    elif not way.was_seen and in_use():
        way = keep(kind, way.seen_again(array))
    return way  # type: ignore[no-any-return]  # what `make` has made


class Way(NamedTuple):
    """How images of one shape, dtype and strides become column matrices.

    Parameters
    ----------
    frame : Frame
    dtype : dtype
        Of the matrix.
    mode : str or tuple of str
        Of the padding.
    value : ndarray
        The padding's constant.
    threads : int
    nbytes : int
        Of the matrix.
    strides : tuple of int, or None
        Of the patches in a contiguous image or in its padded copy, in the axes of `Frame.split`; None where they are
        not foreseen.
    steps : Steps, optional
        How a small image is padded and copied by one call of the engine.
    was_seen : bool
        Whether it was looked for that.
    """

    frame: Frame
    dtype: np.dtype[Any]
    mode: Mode
    value: NDArray[Any]
    threads: int
    nbytes: int
    strides: tuple[int, ...] | None
    steps: Steps | None = None
    was_seen: bool = False

    def suits(self, threads: int | None) -> bool:
        """Whether it is that of a call with this argument: threads may have been set meanwhile, and may matter."""
        nbytes = max(self.nbytes, self.frame.padded_bytes(self.dtype.itemsize))
        return gather.worthy_threads(nbytes, 2) == 1 or self.threads == resolve_threads(threads)

    def matrix(self, image: NDArray[Any], out: Any) -> NDArray[Any]:
        """Return where the matrix goes, after a look at the memory that it and the padded image take.

        Raises
        ------
        OutputError, MemoryBudgetError
        """
        padded = require_padded(self.frame, self.dtype)
        shape = self.frame.matrix_shape
        if out is not None:
            return check_output(out, shape, self.dtype, (image,))
        require_memory(self.nbytes, _WAY_OUT, "the column matrix {} of {}", shape, self.dtype, beside=padded)
        return np.empty(shape, self.dtype)

    def fill(self, matrix: NDArray[Any], image: NDArray[Any]) -> None:
        """Write it."""
        frame = self.frame
        if self.steps is not None and matrix.flags.c_contiguous:
            room = np.zeros(frame.canonical_shape, self.dtype) if frame.geometry.is_padded else image
            given = id(image)
            self.steps.run_ids(given, id(room), id(matrix), given, given, given)
            return
        if self.strides is None:
            patches = frame.patches(frame.padded(image, self.mode, self.value, self.threads))
        else:
            whole = image
            if frame.geometry.is_padded:
                whole = frame.padded(image, self.mode, self.value, self.threads)
            # NumPy's `as_strided`, which takes any array, takes ten times as long.
            patches = np.ndarray(frame.split_shape, whole.dtype, whole, 0, self.strides)
        gather.copy(frame.split(matrix), patches, self.threads)

    def seen_again(self, image: NDArray[Any]) -> Way:
        """Return it with its steps, if an image is small and the engine makes them; and seen in any case.

        A process that has not loaded the engine yet does not for the sake of small images.
        """
        frame, dtype = self.frame, self.dtype
        zeros = self.mode == "constant" and not any(self.value.tobytes())
        copied = image.dtype == dtype and dtype.itemsize in gather.ITEM_SIZES and self.strides is not None
        small = gather.is_small(max(self.nbytes, frame.padded_bytes(dtype.itemsize)))
        steps = self._steps(image) if copied and small and (zeros or not frame.geometry.is_padded) else None
        return self._replace(steps=steps, was_seen=True)

    def _steps(self, image: NDArray[Any]) -> Steps | None:
        with importing:
            from ..engine.copies import Copies
            from ..engine.sequence import Round, Steps

        frame, copies = self.frame, Copies()
        whole, matrix = frame.layout.to_canonical(image), np.empty(frame.matrix_shape, self.dtype)
        room, number, made = image, _IMAGE, True
        if frame.geometry.is_padded:
            room, number = np.empty(frame.canonical_shape, self.dtype), _PADDED
            made = copies.add((number, room, frame.inside(room)), (_IMAGE, image, whole))
            whole = room
        made = made and copies.add((_MATRIX, matrix, frame.split(matrix)), (number, room, frame.patches(whole)))
        try:
            return Steps([Round(copies.steps)], None, copies.kept) if made else None
        except EngineError:  # it has warned
            return None


def way_of(
    image: NDArray[Any],
    kernel_size: object,
    stride: object,
    padding: object,
    dilation: object,
    layout: str | None,
    orientation: Any,
    tap_order: Any,
    padding_mode: object,
    padding_value: object,
    threads: int | None,
) -> Way:
    """Return the way of an image, with all arguments of `im2col` but `out` checked.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError
    """
    frame = resolve_frame(image.shape, kernel_size, stride, padding, dilation, layout, orientation, tap_order)
    dtype = native(image.dtype)
    mode = check_mode(padding_mode, frame.layout, frame.geometry)
    value = fill_value(padding_value, dtype, frame)
    workers = resolve_threads(threads)
    return Way(
        frame, dtype, mode, value, workers, array_bytes(frame.matrix_shape, dtype.itemsize), _strides(frame, image)
    )


def _strides(frame: Frame, image: NDArray[Any]) -> tuple[int, ...] | None:
    """Return the strides of the patches in a contiguous array, or None where there will be none to be looked into."""
    if is_registered(image.dtype) or image.dtype.hasobject or not image.size:  # which NumPy lends to nobody
        return None
    if not frame.geometry.is_padded:
        return frame.patches(frame.layout.to_canonical(image)).strides if image.flags.c_contiguous else None
    if frame.orientation == "rows" and frame.tap_order == "channel-last":  # its channels are last
        return None
    return frame.patch_strides(frame.padded_strides(image.itemsize))


def require_padded(frame: Frame, dtype: np.dtype[Any]) -> int:
    """Ask for the memory of the padded image, and return its bytes.

    Raises
    ------
    MemoryBudgetError
    """
    if not frame.geometry.is_padded:
        return 0
    size = frame.padded_bytes(dtype.itemsize)
    require_memory(size, "use less padding", "the padded image {} of {}", frame.padded_shape, dtype)
    return size


def fill_value(value: object, dtype: np.dtype[Any], frame: Frame) -> NDArray[Any]:
    """Return the padding value in a dtype; the default is looked at only where something is padded.

    Raises
    ------
    DTypeError, ShapeError
        As `constant`.
    """
    if not frame.geometry.is_padded and type(value) is int and value == 0:
        return np.zeros((), dtype)
    if dtype.hasobject:
        filling = np.empty((), dtype)
        filling[()] = value
        return filling
    return constant(value, dtype, frame.channels if frame.layout.has_channels else None)
