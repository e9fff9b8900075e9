"""How an image's axes, its column matrix's and those of the filters that multiply it belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..engine import gather
from ..engine.host import array_bytes, require_memory
from ..errors import LayoutError, ShapeError
from ..memory import lazy, memoized
from ..spec import layout as layouts
from ..spec.arguments import check_choice, integer
from ..spec.arrays import as_array, check_numbers, native, same_kind, strided
from ..spec.padded import pad_image
from ..spec.padding import image_geometry
from ..spec.strides import row_major

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..spec.geometry import Geometry
    from ..spec.layout import Layout, TapOrder
    from ..spec.padded import Mode

Orientation = Literal["rows", "columns"]

ORIENTATIONS = get_args(Orientation)
_MOST_AXES = 62
"""Of filters: two more, for the groups, are all that an array of NumPy can have."""


@dataclass(frozen=True)
class Frame:
    """How an image's axes and a column matrix's axes belong together.

    Inside, arrays have canonical axes: images (N, C, *spatial), patches (N, C, *kernel, *output).
    """

    layout: Layout
    geometry: Geometry
    batch: int
    channels: int
    orientation: Orientation
    tap_order: TapOrder

    def padded_bytes(self, itemsize: int) -> int:
        """Bytes of the padded copy of the image; 0 where there is no padding."""
        return array_bytes(self.canonical_shape, itemsize) if self.geometry.is_padded else 0

    @lazy
    def canonical_shape(self) -> tuple[int, ...]:
        """Shape of the padded image, (N, C, *spatial)."""
        return (self.batch, self.channels, *self.geometry.padded_shape)

    def inside(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return a view of the image in the padded one, (N, C, *spatial)."""
        g = self.geometry
        pairs = zip(g.padding, g.spatial_shape, strict=True)
        return padded[(slice(None), slice(None), *(slice(before, before + n) for (before, _), n in pairs))]

    @lazy
    def _pairs(self) -> tuple[tuple[int, int], ...]:
        """The padding of the canonical axes."""
        return ((0, 0), (0, 0), *self.geometry.padding)

    @lazy
    def padded_shape(self) -> tuple[int, ...]:
        """Shape of the padded image, (N, C, *spatial) without the axes that the image lacks."""
        lead = [
            n for n, there in ((self.batch, self.layout.has_batch), (self.channels, self.layout.has_channels)) if there
        ]
        return (*lead, *self.geometry.padded_shape)

    def padded(self, image: NDArray[Any], mode: Mode, value: NDArray[Any], threads: int = 1) -> NDArray[Any]:
        """Return the padded image with canonical axes: a view of the image, or a copy where there is padding.

        The copy's memory order suits the matrix: channels last where the channels of a tap are to lie side by side.
        """
        view = self.layout.to_canonical(image)
        if not self.geometry.is_padded:
            return view
        pairs = self._pairs
        copy = partial(gather.copy, threads=threads)
        if self.orientation == "rows" and self.tap_order == "channel-last":
            modes = mode if isinstance(mode, str) else (*mode, "constant")
            last = pad_image(np.moveaxis(view, 1, -1), (*pairs[1:], (0, 0)), modes, value, copy)
            return np.moveaxis(last, -1, 1)
        if value.ndim:  # one for each channel
            value = value.reshape(-1, *[1] * self.geometry.ndim)
        return pad_image(view, pairs, mode, value, copy)

    @lazy
    def _order(self) -> tuple[int, ...]:
        """The canonical patch axes in the order of the matrix."""
        k = self.geometry.ndim
        kernel, output = tuple(range(2, 2 + k)), tuple(range(2 + k, 2 + 2 * k))
        taps = (1, *kernel) if self.tap_order == "channel-first" else (*kernel, 1)
        return (0, *output, *taps) if self.orientation == "rows" else (0, *taps, *output)

    @lazy
    def _canonical_order(self) -> tuple[int, ...]:
        """The axes of the matrix in the order of the canonical patch axes."""
        return tuple(np.argsort(self._order).tolist())

    @lazy
    def split_shape(self) -> tuple[int, ...]:
        """Shape of the matrix with its axes unflattened, in the order of the matrix."""
        canonical = (self.batch, self.channels, *self.geometry.kernel_size, *self.geometry.output_shape)
        return tuple(canonical[axis] for axis in self._order)

    @lazy
    def matrix_shape(self) -> tuple[int, ...]:
        """Shape of the column matrix, with the batch axis where the image has one."""
        taps = self.channels * self.geometry.taps
        positions = self.geometry.positions
        shape = (positions, taps) if self.orientation == "rows" else (taps, positions)
        return (self.batch, *shape) if self.layout.has_batch else shape

    @property
    def patches_shape(self) -> tuple[int, ...]:
        """Shape of `patches`: the matrix before flattening, without the axes that the image lacks."""
        return tuple(
            n
            for axis, n in zip(self._order, self.split_shape, strict=True)
            if axis > 1 or (axis == 0 and self.layout.has_batch) or (axis == 1 and self.layout.has_channels)
        )

    def split(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a column matrix with its axes unflattened, in the order of the matrix."""
        return matrix.reshape(self.split_shape, copy=False)

    def canonical(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a column matrix as (N, C, *kernel, *output)."""
        return self.split(matrix).transpose(self._canonical_order)

    def patches(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return a read-only view of the padded image in the axes of `split`."""
        return strided(padded, self.split_shape, self.patch_strides(padded.strides))

    def patch_strides(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        """Return the strides of `patches`, of an image (N, C, *spatial) with these."""
        canonical = _patch_strides(strides, self.geometry)
        return tuple(canonical[axis] for axis in self._order)

    def padded_strides(self, itemsize: int) -> tuple[int, ...]:
        """Return the strides of a contiguous padded image (N, C, *spatial)."""
        return row_major(self.canonical_shape, itemsize)


def patch_view(padded: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """Return every patch of a padded image as a read-only view: the column matrix, unflattened.

    Parameters
    ----------
    padded : ndarray, (N, C, *geometry.padded_shape)
        Any strides.
    geometry : Geometry

    Returns
    -------
    ndarray, (N, C, *kernel, *output)
        A view: entry (n, c, *t, *o) is ``padded[n, c, o·stride + t·dilation]``.
    """
    shape = (*padded.shape[:2], *geometry.kernel_size, *geometry.output_shape)
    return strided(padded, shape, _patch_strides(padded.strides, geometry))


def _patch_strides(strides: tuple[int, ...], geometry: Geometry) -> tuple[int, ...]:
    pixel = strides[2:]
    return (*strides[:2], *geometry.tap_strides(pixel), *geometry.position_strides(pixel))


@memoized
def resolve_frame(
    image_shape: tuple[int, ...],
    kernel_size: object,
    stride: object,
    padding: object,
    dilation: object,
    layout: str | None,
    orientation: Orientation = "rows",
    tap_order: TapOrder = "channel-first",
) -> Frame:
    """Validate a transform's arguments, all but the arrays.

    Parameters
    ----------
    image_shape, kernel_size, stride, padding, dilation, layout, orientation, tap_order
        As for `im2col`.

    Returns
    -------
    Frame

    Raises
    ------
    GeometryError, LayoutError, ArgumentError
        If an argument does not fit; or if no layout is named, and the image may be a photograph with its colours last.
    """
    orientation = check_choice("orientation", orientation, ORIENTATIONS)
    tap_order = check_choice("tap_order", tap_order, layouts.TAP_ORDERS)
    axes = layouts.resolve(layout, len(image_shape), layouts.spatial_ndim(kernel_size, layout, len(image_shape)))
    geometry = image_geometry(axes, layout, image_shape, kernel_size, stride, padding, dilation)
    last = axes.channels_last if layout is None else None
    if last is not None and last.suits_a_photograph(image_shape):
        raise LayoutError(
            f"the image {image_shape} may have its channels first, {axes.size(layouts.CHANNEL, image_shape)} of them, "
            f"or last, {image_shape[-1]} colours; pass layout={axes.axes!r} or layout={last.axes!r}"
        )
    batch, channels = axes.size(layouts.BATCH, image_shape), axes.size(layouts.CHANNEL, image_shape)
    return Frame(axes, geometry, batch, channels, orientation, tap_order)


@same_kind
def weight_matrix(
    w: ArrayLike,
    *,
    tap_order: TapOrder = "channel-first",
    orientation: Orientation = "rows",
    groups: int = 1,
) -> NDArray[Any]:
    """Return the filters side by side, flattened as the patches are.

    Parameters
    ----------
    w : array_like, (n, C/groups, *kernel)
        The filters.
    tap_order : {"channel-first", "channel-last"}
        As for `im2col`.
    orientation : {"rows", "columns"}
        ``"rows"``: a filter is a column, (taps, n), for ``im2col(x, …) @ matrix``. ``"columns"``: a filter is a row,
        (n, taps), for ``matrix @ im2col(x, …, orientation="columns")``.
    groups : int
        With more than one group the matrix holds zeros where a filter does not read a channel, so that the same product
        is the grouped layer: C·prod(kernel) taps. (One group alone is a slice of the columns times the
        `weight_matrix` of its own filters.)

    Returns
    -------
    ndarray
        A new array of w's dtype in native byte order, C-contiguous.

    Raises
    ------
    ShapeError
        If `w` has no kernel axes, or its filters do not divide among the groups.
    ArgumentError, DTypeError
        If another argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import im2col, weight_matrix
    >>> x, w = np.ones((3, 5, 5)), np.ones((4, 3, 2, 2))
    >>> (im2col(x, 2) @ weight_matrix(w)).shape
    (16, 4)
    """
    filters = as_array("w", w, objects=True)
    tap_order = check_choice("tap_order", tap_order, layouts.TAP_ORDERS)
    orientation = check_choice("orientation", orientation, ORIENTATIONS)
    groups = integer("groups", groups, minimum=1)
    if filters.ndim < 3 or filters.shape[0] % groups:
        raise ShapeError(
            f"w must be (filters, channels/groups, *kernel) with filters divisible by groups={groups}, got shape "
            f"{filters.shape}"
        )
    if filters.ndim > _MOST_AXES:
        raise ShapeError(
            f"w has {filters.ndim} axes, of which at most {_MOST_AXES} can be told apart; flatten the kernel's, as in "
            "w.reshape(*w.shape[:2], -1)"
        )
    if groups > 1:
        check_numbers("w", filters.dtype, integers=True)  # which have a 0
    n, channels = filters.shape[:2]
    kernel = filters.shape[2:]
    taps = math.prod(kernel)
    size = n * groups * channels * taps * filters.itemsize
    require_memory(size, "multiply group by group, as conv does", "the matrix of {} filters", n)
    shape = (groups * channels * taps, n) if orientation == "rows" else (n, groups * channels * taps)
    matrix = np.zeros(shape, native(filters.dtype))
    rows = matrix if orientation == "columns" else matrix.T
    if tap_order == "channel-first":
        whole = rows.reshape(groups, n // groups, groups, channels, *kernel, copy=False)
    else:
        last = rows.reshape(groups, n // groups, *kernel, groups, channels, copy=False)
        whole = np.moveaxis(last, (-2, -1), (2, 3))
    own = np.einsum("gfgc...->gfc...", whole)  # a view: of each group's filters, the taps of its channels
    own[...] = filters.reshape(groups, n // groups, channels, *kernel, copy=False)
    return matrix
