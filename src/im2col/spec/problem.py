"""One convolution, validated: all that an algorithm may know before it sees the arrays."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from ..errors import DTypeError, ShapeError
from ..memory import lazy
from . import layout as layouts
from .activation import check_activation
from .arguments import check_choice, checked_shape, flag, integer
from .arrays import as_dtype, check_numbers, check_result, is_registered, native
from .padded import modes_along
from .padding import check_mode, constant, image_geometry

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from .activation import Activation, ActivationArgument
    from .geometry import Geometry, Window
    from .layout import Layout
    from .padded import Mode
    from .padding import Padding, PaddingMode

WORKSPACE_LIMIT = 64 << 20
"""Bytes that an algorithm may allocate for blocks of the column matrix, unless a call says otherwise."""

Precision = Literal["strict", "native", "fast"]
PRECISIONS: tuple[Precision, ...] = ("strict", "native", "fast")

WINDOW_OPTIONS = ("stride", "padding", "dilation", "groups", "layout")


class Options(TypedDict, total=False):
    """The keywords of `conv`: `conv1d`, `conv2d` and `conv3d` take them as they are, `plan` all but `out`."""

    stride: Window
    padding: Padding
    dilation: Window
    groups: int
    padding_mode: PaddingMode
    padding_value: complex | NDArray[Any] | None
    layout: str | None
    activation: ActivationArgument | None
    flip: bool
    dtype: DTypeLike | None
    precision: Precision
    chunked: bool
    x_zero_point: int
    w_zero_point: ArrayLike
    algorithm: str
    workspace_limit: int
    out: NDArray[Any] | None
    threads: int | None


def keywords(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of a public function's optional keywords: the one list of them is its signature."""
    return frozenset(inspect.unwrap(function).__kwdefaults__)


def refuse_unknown(function: str, options: Iterable[str], known: Container[str]) -> None:
    """Raise the error that Python raises for a keyword that a function does not have.

    Raises
    ------
    TypeError
        If a name in `options` is not among the known ones.
    """
    for name in options:
        if name not in known:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")


@dataclass(frozen=True)
class Problem:
    """One convolution, validated: all that an algorithm may know before it sees the arrays.

    Images have canonical axes (N, C, *spatial) by the time an algorithm sees them; `layout` tells how they lie in
    memory. The object is hashable, and equal to every other that asks for the same work.
    """

    layout: Layout
    geometry: Geometry
    batch: int
    channels: int
    filters: int
    groups: int
    x_dtype: np.dtype[Any]
    w_dtype: np.dtype[Any]
    dtype: np.dtype[Any]
    padding_mode: Mode
    padding_bytes: bytes
    activation: Activation | None
    flip: bool
    has_bias: bool
    workspace_limit: int
    strides: tuple[int, ...] | None = None
    """Bytes between neighbours along (N, C, *spatial) in the array whose part the image is; None if it is all of it."""
    out_strides: tuple[int, ...] | None = None
    """The same along (N, filters, *output) of the result."""
    x_zero_point: int = 0
    """The pixel that stands for 0: it is taken off every pixel, also of the padding."""
    zero_point: int | None = None
    """Of a requantised result: where 0 stands in it; None for any other result."""
    precision: Precision = "native"
    """How much rounding an algorithm that multiplies less may add."""
    prepared: bool = False
    """Whether its weights are prepared once, for many images."""
    small_weights: bool = False
    """Whether its weights are known to be small, as `quantization.are_small` has it."""
    kernel_rank: int | None = None
    """The greatest rank of its kernels as matrices, to within the rounding that `precision` admits; None where nobody
    looked at their values, or some are not finite."""
    kernel_terms: int | None = None
    """How many weights of a kernel are not 0, at least; None where nobody looked at their values."""
    equal_weights: bool = False
    """Whether each kernel's weights are known to be equal, and `precision` to admit sums of boxes."""
    chunked: bool = False
    """Whether its result must be the same in any chunks."""

    @lazy
    def _hash(self) -> int:
        return hash((self.layout, self.geometry, self.batch, self.channels, self.filters, self.groups, self.x_dtype))

    def __hash__(self) -> int:
        """Return the hash, computed once: each call looks up what was decided about its problem."""
        return self._hash

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the hash, which is another one in another process."""
        return {name: value for name, value in vars(self).items() if name != "_hash"}

    @property
    def padding_value(self) -> Any:
        """The constant that pads, a scalar of the image's dtype, or (C, 1, …) where channels have their own.

        It is kept as bytes, among which NaN equals itself.
        """
        values = np.frombuffer(self.padding_bytes, self.x_dtype)
        return values[0] if len(values) == 1 else values.reshape(-1, *[1] * self.geometry.ndim)

    @property
    def padding_modes(self) -> tuple[str, ...]:
        """The padding mode of each spatial axis."""
        return modes_along(self.padding_mode, self.geometry.ndim)

    @property
    def accumulator(self) -> np.dtype[Any]:
        """The dtype of sums: the result's, but float32 for float16 and bfloat16, int32 before they are requantised."""
        return accumulator(self.dtype) if self.zero_point is None else np.dtype(np.int32)

    @property
    def fixes_sums(self) -> bool:
        """Whether the order of sums must be that of any other chunk: only where there are sums, and they round."""
        return self.chunked and self.accumulator.kind in "fc" and self.flops > 0

    @property
    def pads_zeros(self) -> bool:
        """Whether taps in the padding contribute nothing."""
        return not self.geometry.is_padded or (self.padding_mode == "constant" and self.zeros_pad)

    @property
    def zeros_pad(self) -> bool:
        """Whether the constant that pads, where an axis shows it, contributes nothing."""
        return self.padding_bytes == np.array(self.x_zero_point).astype(self.x_dtype).tobytes()

    @property
    def group_channels(self) -> int:
        """Channels that one filter reads."""
        return self.channels // self.groups

    @property
    def group_filters(self) -> int:
        """Filters of one group."""
        return self.filters // self.groups

    @property
    def group_taps(self) -> int:
        """Taps of one filter: the terms of one sum."""
        return self.group_channels * self.geometry.taps

    @lazy
    def is_canonical(self) -> bool:
        """Whether arrays in the layout have the canonical axes as they are."""
        return self.layout.has_batch and self.layout.has_channels and self.layout.axes == self.layout.canonical

    @lazy
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the image, in its layout."""
        return self.layout.from_canonical_shape(self.batch, self.channels, self.geometry.spatial_shape)

    @lazy
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the result, in the image's layout."""
        return self.layout.from_canonical_shape(self.batch, self.filters, self.geometry.output_shape)

    @lazy
    def output_bytes(self) -> int:
        """Bytes of the result."""
        return math.prod(self.output_shape) * self.dtype.itemsize

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiplication and an addition for each term, padded taps included."""
        return 2 * self.batch * self.filters * self.geometry.positions * self.group_taps

    @property
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: image and weight read once, result written once."""
        image = math.prod(self.x_shape) * self.x_dtype.itemsize
        weight = self.filters * self.group_taps * self.w_dtype.itemsize
        return image + weight + self.output_bytes


def accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of sums for a result's dtype: itself, but float32 for float16 and bfloat16."""
    return np.dtype(np.float32) if dtype == np.float16 or is_registered(dtype) else dtype


def make_problem(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w_dtype: np.dtype[Any],
    *,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
    padding_mode: object = "constant",
    padding_value: object = None,
    layout: str | None = None,
    activation: object = None,
    flip: bool = False,
    dtype: DTypeLike | None = None,
    precision: object = "native",
    workspace_limit: int = WORKSPACE_LIMIT,
    has_bias: bool = False,
    prepared: bool = False,
    small_weights: bool = False,
    kernel_rank: int | None = None,
    kernel_terms: int | None = None,
    equal_weights: bool = False,
    chunked: bool = False,
    x_zero_point: int = 0,
    zero_point: int | None = None,
    names: tuple[str, str] = ("x", "w"),
) -> Problem:
    """Validate the arguments of a convolution, all but the arrays' values.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
        Of the image, in `layout`, and of the filters (n, C/groups, *kernel).
    x_dtype, w_dtype : dtype
        Of the image and the filters.
    stride, padding, dilation, groups, padding_mode, padding_value, layout, activation, flip, dtype, precision
        As for `conv`, and workspace_limit too.
    has_bias : bool
        Whether there will be a bias.
    prepared : bool
        Whether weights will be prepared once, for many images.
    small_weights : bool
        Whether the filters are small, as `quantization.are_small` has it.
    kernel_rank, kernel_terms : int, optional
        Of the kernels, where their values are known.
    equal_weights : bool
        Whether the kernels are known to be boxes.
    chunked : bool
        As for `conv`.
    x_zero_point : int
        The pixel that stands for 0, which is what pads by default.
    zero_point : int, optional
        Of a result that is requantised to `dtype`, int8 or uint8.
    names : (str, str)
        What errors call the arrays that have these dtypes.

    Returns
    -------
    Problem

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit.
    """
    x_shape, w_shape = checked_shape("the shape of x", x_shape), checked_shape("the shape of w", w_shape)
    if len(w_shape) < 3:
        raise ShapeError(
            f"w must be (filters, channels/groups, *kernel), got shape {w_shape}; a plain kernel goes with conv1d, "
            "conv2d or conv3d, or as w[None, None]"
        )
    groups = integer("groups", groups, minimum=1)
    axes = layouts.resolve(layout, len(x_shape), len(w_shape) - 2)
    filters, channels = w_shape[0], axes.size(layouts.CHANNEL, x_shape)
    _check_channels(x_shape, w_shape, axes, groups)
    reads = w_shape[1] * groups if names[1] == "w" else None
    geometry = image_geometry(axes, layout, x_shape, w_shape[2:], stride, padding, dilation, channels=reads)
    if chunked is True:  # padding is a part of the image then
        checked_shape("the shape of the padded image", geometry.padded_shape)
    mode = check_mode(padding_mode, axes, geometry)
    requantised = zero_point is not None
    result = np.dtype(dtype) if requantised else result_dtype(x_dtype, w_dtype, dtype, names)
    fill = x_zero_point if padding_value is None else padding_value
    return Problem(
        layout=axes,
        geometry=geometry,
        batch=axes.size(layouts.BATCH, x_shape),
        channels=channels,
        filters=filters,
        groups=groups,
        x_dtype=native(x_dtype),
        w_dtype=native(w_dtype),
        dtype=result,
        padding_mode=mode,
        padding_bytes=constant(fill, native(x_dtype), channels if axes.has_channels else None).tobytes(),
        activation=None if activation is None else check_activation(activation, result),
        flip=flag("flip", flip),
        has_bias=has_bias,
        workspace_limit=integer("workspace_limit", workspace_limit, minimum=1),
        x_zero_point=x_zero_point,
        zero_point=zero_point,
        precision=check_choice("precision", precision, PRECISIONS),
        prepared=prepared,
        small_weights=small_weights,
        kernel_rank=kernel_rank,
        kernel_terms=kernel_terms,
        equal_weights=equal_weights,
        chunked=flag("chunked", chunked),
    )


def _check_channels(x_shape: tuple[int, ...], w_shape: tuple[int, ...], axes: Layout, groups: int) -> None:
    filters, per_group = w_shape[:2]
    channels = axes.size(layouts.CHANNEL, x_shape)
    if filters % groups:
        raise ShapeError(
            f"{filters} filters do not divide into groups={groups}; the filters must be a multiple of groups"
        )
    if channels != per_group * groups:
        hint = "pass w of shape (filters, channels/groups, *kernel)"
        last = axes.channels_last
        if last is not None and x_shape[-1] == per_group * groups:
            hint = f"the last axis would fit: pass layout={last.axes!r} if the channels come last"
        elif last is not None and last.suits_a_photograph(x_shape):
            hint += f"; if the channels come last, pass layout={last.axes!r} and filters that read {x_shape[-1]}"
        raise ShapeError(
            f"the image {x_shape} has {channels} channels in layout {axes.axes!r} but the filters {w_shape} with "
            f"groups={groups} read {per_group * groups}; {hint}"
        )
    if not axes.has_channels and filters != 1:
        raise ShapeError(
            f"{filters} filters give {filters} output maps but layout {axes.axes!r} has no channel axis for them; pass "
            f"the image with a channel axis, as in x[{'None' if not axes.has_batch else ':, None'}]"
        )


def result_dtype(
    x_dtype: np.dtype[Any],
    w_dtype: np.dtype[Any],
    dtype: DTypeLike | None,
    names: tuple[str, str] = ("x", "w"),
) -> np.dtype[Any]:
    """Return the dtype of the result: ``np.result_type``, but int32 for two 8-bit operands, unless `dtype` says.

    Raises
    ------
    DTypeError
        If the operands, which errors call by `names`, have no common dtype, or `dtype` cannot hold it.
    """
    for name, operand in zip(names, (x_dtype, w_dtype), strict=True):
        check_numbers(name, operand)
    try:
        natural = native(np.result_type(x_dtype, w_dtype))
    except TypeError as cause:
        raise DTypeError(
            f"{names[0]} of {x_dtype} and {names[1]} of {w_dtype} have no common dtype; convert one of them"
        ) from cause
    if natural.kind in "biu" and x_dtype.itemsize == w_dtype.itemsize == 1:
        natural = np.dtype(np.int32)
    if dtype is None:
        return natural
    wanted = native(as_dtype("dtype", dtype))
    both_integers = natural.kind in "iu" and wanted.kind in "iu"
    if not (both_integers or np.can_cast(natural, wanted, "same_kind")):
        raise DTypeError(
            f"{names[0]} of {x_dtype} and {names[1]} of {w_dtype} give {natural}, which dtype={wanted} cannot hold; "
            "ask for a wider dtype and convert the result"
        )
    check_result(wanted)
    return wanted
