"""Axis strings: what each axis of an array means."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args

from ..errors import GeometryError, LayoutError, shown
from .arguments import is_sequence, plain, word
from .strides import dense_strides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    T = TypeVar("T")

TapOrder = Literal["channel-first", "channel-last"]
"""Where the channel stands among a tap's coordinates: before those of the kernel, or behind them."""
TAP_ORDERS = get_args(TapOrder)
BATCH, CHANNEL = "N", "C"
SPATIAL_LETTERS = "ABEFGIJKLMOPQRSTUVXYZDHW"
"""Names of spatial axes, innermost last: one axis is W, two are HW, three DHW."""
_COLOURS = 3, 4
_LEAST_SIDE = 16
"""Of a photograph, in pixels: maps of many channels may be three pixels wide, but are then not much higher."""
_MOST_LAYOUTS = 64
"""For which it is remembered how they become canonical: more than anyone uses in turn."""


class Layout(NamedTuple):
    """An axis string, parsed: N is the batch, C the channels, every other letter a spatial axis.

    Parameters
    ----------
    axes : str
        One capital letter an axis, none twice, such as ``"NCHW"`` or ``"HWC"``.

    Examples
    --------
    >>> parse("NHWC").spatial
    'HW'
    """

    axes: str

    @property
    def spatial(self) -> str:
        """The letters of the spatial axes, in order."""
        return "".join(a for a in self.axes if a not in (BATCH, CHANNEL))

    @property
    def has_batch(self) -> bool:
        """Whether there is a batch axis."""
        return BATCH in self.axes

    @property
    def has_channels(self) -> bool:
        """Whether there is a channel axis."""
        return CHANNEL in self.axes

    @property
    def canonical(self) -> str:
        """The same axes as batch, channels, spatial axes."""
        return BATCH * self.has_batch + CHANNEL * self.has_channels + self.spatial

    @property
    def channels_last(self) -> Layout | None:
        """The same axes with the channels behind them; None for any but a canonical layout with channels."""
        if not self.has_channels or self.axes != self.canonical:
            return None
        return Layout(self.axes.replace(CHANNEL, "") + CHANNEL)

    def suits_a_photograph(self, shape: Sequence[int]) -> bool:
        """Whether a shape in this layout looks like that of a photograph: three or four colours of many pixels.

        Examples
        --------
        >>> parse("HWC").suits_a_photograph((300, 400, 3)), parse("HWC").suits_a_photograph((512, 3, 3))
        (True, False)
        """
        pixels = self.spatial_shape(shape)
        return self.size(CHANNEL, shape) in _COLOURS and len(pixels) > 1 and min(pixels) >= _LEAST_SIDE

    def spatial_shape(self, shape: Sequence[T]) -> tuple[T, ...]:
        """Return the spatial entries of a shape (or of strides) given in this layout."""
        return tuple(v for a, v in zip(self.axes, shape, strict=True) if a not in (BATCH, CHANNEL))

    def size(self, axis: str, shape: Sequence[int]) -> int:
        """Return the length of `axis` in a shape given in this layout; 1 where there is no such axis."""
        return shape[self.axes.index(axis)] if axis in self.axes else 1

    def to_canonical(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return a view of `x` with its axes as (N, C, *spatial); axes that x lacks have length 1.

        Parameters
        ----------
        x : ndarray
            Its axes in this layout.

        Returns
        -------
        ndarray
            `x` itself where it has these axes, or a view.
        """
        order, lengths = _way_to_canonical(self.axes)
        view = x if order is None else x.transpose(order)
        return view if lengths is None else view[lengths]

    def from_canonical_shape(self, batch: int, channels: int, spatial: Sequence[int]) -> tuple[int, ...]:
        """Return the shape in this layout of an array with these axes."""
        sizes = dict(zip(self.spatial, spatial, strict=True)) | {BATCH: batch, CHANNEL: channels}
        return tuple(sizes[a] for a in self.axes)

    def strides(self, batch: int, channels: int, spatial: Sequence[int], size: int) -> tuple[int, ...]:
        """Return the strides, with canonical axes, of a dense array in this layout; 0 along axes that it lacks.

        Parameters
        ----------
        batch, channels : int
        spatial : sequence of int
            Its lengths.
        size : int
            Bytes of an element.
        """
        canonical = BATCH + CHANNEL + self.spatial
        return dense_strides([canonical.index(a) for a in self.axes], (batch, channels, *spatial), size)


@lru_cache(_MOST_LAYOUTS)
def _way_to_canonical(axes: str) -> tuple[tuple[int, ...] | None, tuple[Any, ...] | None]:
    """Return the order of axes, and the index that adds those which are missing; None for what changes nothing."""
    layout = Layout(axes)
    canonical = layout.canonical
    order = None if axes == canonical else tuple(map(axes.index, canonical))
    present = (layout.has_batch, layout.has_channels)
    return order, None if all(present) else tuple(slice(None) if is_there else None for is_there in present)


def parse(layout: object) -> Layout:
    """Parse an axis string.

    Parameters
    ----------
    layout : str
        Such as ``"NCHW"``.

    Raises
    ------
    LayoutError
        If a letter is repeated or no capital, or there is no spatial axis.
    """
    axes = word(layout) or ""
    if (
        len(set(axes)) != len(axes)
        or not (axes.isascii() and axes.isalpha() and axes.isupper())
        or not set(axes) - {BATCH, CHANNEL}
    ):
        raise LayoutError(
            "layout must be distinct capital letters, N for the batch, C for the channels and at least one spatial "
            f"axis, such as 'NCHW' or 'HW'; got {shown(layout)}"
        )
    return Layout(axes)


def default(array_ndim: int, spatial_ndim: int) -> Layout:
    """Return the layout of an array by its number of axes: plain, then with channels, then with a batch.

    Parameters
    ----------
    array_ndim : int
        Axes of the image: `spatial_ndim` for a plain image, one more with channels, two more with a batch.
    spatial_ndim : int
        Spatial axes.

    Raises
    ------
    LayoutError
        If the image has too few or too many axes.

    Examples
    --------
    >>> default(4, 2).axes
    'NCHW'
    """
    if spatial_ndim > len(SPATIAL_LETTERS):
        raise LayoutError(
            f"an image has at most {len(SPATIAL_LETTERS)} spatial axes, one for each letter but N and C, got "
            f"{spatial_ndim}; work on its slices along the other axes"
        )
    if spatial_ndim < 1:
        raise LayoutError("an image needs at least one spatial axis, got none; add one, as in x[:, None]")
    lead = array_ndim - spatial_ndim
    if lead not in (0, 1, 2):
        axes = "axis" if spatial_ndim == 1 else "axes"
        raise LayoutError(
            f"an image with {spatial_ndim} spatial {axes} has {spatial_ndim} (plain), {spatial_ndim + 1} (with "
            f"channels) or {spatial_ndim + 2} (with a batch) axes, got an array of {array_ndim}; pass an image of that "
            "many axes, or name its axes with layout="
        )
    return parse(("", CHANNEL, BATCH + CHANNEL)[lead] + SPATIAL_LETTERS[-spatial_ndim:])


def spatial_ndim(kernel_size: object, layout: str | None, array_ndim: int) -> int:
    """Return how many spatial axes a window has.

    Parameters
    ----------
    kernel_size : int or sequence of int
        The user's argument: an entry for each axis, or an integer for all of them.
    layout : str or None
        The user's argument, which says how many there are for an integer. Without it an integer means two axes, or the
        one that an array of one axis has.
    array_ndim : int
        Axes of the image.

    Raises
    ------
    GeometryError, LayoutError
        If `kernel_size` is an empty sequence, or an integer for an array whose spatial axes it does not tell.

    Examples
    --------
    >>> spatial_ndim(3, None, 4), spatial_ndim(3, None, 1), spatial_ndim(3, "NCDHW", 5)
    (2, 1, 3)
    """
    if is_sequence(kernel_size):
        k = len(plain(kernel_size))
        if k == 0:
            raise GeometryError("kernel_size must have an entry for each spatial axis, got none")
        return k
    if layout is not None:
        return len(parse(layout).spatial)
    if array_ndim not in range(5):  # an array of no axes is told what an image has
        each = shown((kernel_size,) * min(array_ndim - 2, len(SPATIAL_LETTERS)))
        raise LayoutError(
            f"kernel_size={shown(kernel_size)} means two spatial axes, of an image of 2, 3 (with channels) or 4 (with "
            f"a batch) axes, got an array of {array_ndim}; give one size an axis, as in kernel_size={each}, or name "
            "the axes with layout="
        )
    return max(1, min(array_ndim, 2))


def resolve(layout: str | None, array_ndim: int, spatial_ndim: int) -> Layout:
    """Return the layout of an image from the user's `layout` argument, or by its number of axes.

    Parameters
    ----------
    layout : str or None
        The user's argument.
    array_ndim : int
        Axes of the image.
    spatial_ndim : int
        Spatial axes that the kernel has.

    Raises
    ------
    LayoutError
        If the layout is malformed, or does not have as many axes as the image or as the kernel.
    """
    if layout is None:
        return default(array_ndim, spatial_ndim)
    parsed = parse(layout)
    axes = parsed.axes
    if len(axes) != array_ndim:
        raise LayoutError(f"layout {axes!r} names {len(axes)} axes but the image has {array_ndim}; name each axis once")
    if len(parsed.spatial) != spatial_ndim:
        raise LayoutError(
            f"layout {axes!r} has {len(parsed.spatial)} spatial axes ({parsed.spatial}) but the kernel has "
            f"{spatial_ndim}; give the kernel one size for each spatial axis"
        )
    return parsed
