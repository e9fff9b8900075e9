"""The index map as addresses: where each entry of the column matrix lies in an image's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import ArgumentError, LayoutError, MemoryBudgetError, format_bytes, naming, shown
from ..memory import lazy
from .arguments import check_choice, integer, is_sequence, numbered, plain
from .layout import CHANNEL, TAP_ORDERS, Layout, default, parse, resolve
from .strides import offsets, row_major

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from .layout import TapOrder


_GREATEST = (1 << 63) - 1


class _Windows(Protocol):
    """What addresses need of a geometry, which makes them and so stands above."""

    @property
    def spatial_shape(self) -> tuple[int, ...]: ...
    @property
    def kernel_size(self) -> tuple[int, ...]: ...
    @property
    def output_shape(self) -> tuple[int, ...]: ...
    @property
    def positions(self) -> int: ...
    @property
    def taps(self) -> int: ...
    @property
    def ndim(self) -> int: ...
    def position_offsets(self, pixel_strides: Sequence[int]) -> NDArray[np.int64]: ...
    def tap_strides(self, pixel_strides: Sequence[int]) -> tuple[int, ...]: ...
    def first_pixel(self, pixel_strides: Sequence[int]) -> int: ...
    def pixel(self, position: int, tap: int) -> tuple[int, ...]: ...
    def taps_inside(self, axis: int, positions: ArrayLike) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class Addresses:
    """Where each entry of the column matrix lies: ``base + position_offsets[position] + tap_offsets[tap]``.

    `Geometry.addresses` makes one. Entries in the padding have no address; all others are those of pixels of one image
    without its padding, counted from its first pixel.

    Parameters
    ----------
    geometry : Geometry
        The windows.
    channels : int
        1 where the image has no axis for them.
    layout : str
        The image's axes.
    strides : tuple of int
        How far neighbours along each axis of `layout` lie apart, in any unit.
    tap_order : {"channel-first", "channel-last"}
        Order of the taps, as for `im2col`.

    See Also
    --------
    im2col : of ``np.arange``, it is the same matrix.

    Examples
    --------
    >>> from im2col import window_geometry
    >>> a = window_geometry((3, 4), 2, stride=(1, 2)).addresses()
    >>> a.base, a.position_offsets, a.tap_offsets
    (0, array([0, 2, 4, 6]), array([0, 1, 4, 5]))
    """

    geometry: _Windows
    channels: int
    layout: str
    strides: tuple[int, ...]
    tap_order: TapOrder

    @property
    def shape(self) -> tuple[int, int]:
        """Positions and taps: the column matrix's shape."""
        return self.geometry.positions, self.channels * self.geometry.taps

    @property
    def base(self) -> int:
        """The address of the first tap at the first position: before the image where there is padding."""
        return self.geometry.first_pixel(self._pixel_strides)

    @property
    @naming("Addresses.position_offsets")
    def position_offsets(self) -> NDArray[np.int64]:
        """How far each position's first tap lies from the first position's: a new array, (positions,)."""
        self._require_64_bits()
        return self.geometry.position_offsets(self._pixel_strides)

    @property
    @naming("Addresses.tap_offsets")
    def tap_offsets(self) -> NDArray[np.int64]:
        """How far each tap lies from its position's first one: a new array, (taps,)."""
        self._require_64_bits()
        steps = self.geometry.tap_strides(self._pixel_strides)
        kernel, channel = self.geometry.kernel_size, (self.channels,)
        if self.tap_order == "channel-first":
            return offsets(channel + kernel, (self._channel_stride, *steps))
        return offsets(kernel + channel, (*steps, self._channel_stride))

    @naming("Addresses.address")
    def address(self, position: int, tap: int) -> int | None:
        """Return the address of one entry, or None where it lies in the padding.

        Parameters
        ----------
        position, tap : int
            Row and column of the column matrix.

        Raises
        ------
        GeometryError
            If there is no such position or tap.

        Examples
        --------
        >>> from im2col import window_geometry
        >>> a = window_geometry((3, 4), 3, padding=1).addresses()
        >>> a.address(0, 0), a.address(0, 4), a.address(5, 0)
        (None, 0, 0)
        """
        g = self.geometry
        positions, taps = self.shape
        row, number = numbered("position", position, positions), numbered("tap", tap, taps)
        channel, place = divmod(number, g.taps)
        if self.tap_order == "channel-last":
            place, channel = divmod(number, self.channels)
        pixel = g.pixel(row, place)
        if any(not 0 <= at < n for at, n in zip(pixel, g.spatial_shape, strict=True)):
            return None
        steps = zip(pixel, self._pixel_strides, strict=True)
        return channel * self._channel_stride + sum(at * stride for at, stride in steps)

    @naming("Addresses.matrix")
    def matrix(self, first: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return the addresses of all entries, or those of some positions.

        Parameters
        ----------
        first, stop : int, optional
            Positions ``first <= position < stop``: all of them if left out.

        Returns
        -------
        ndarray of int64, (stop - first, taps)
            A new array. -1 marks entries in the padding.

        Raises
        ------
        GeometryError, ArgumentError
            If there are no such positions, or addresses take more than 64 bits.
        MemoryBudgetError
            If the system has not the memory for them.

        Examples
        --------
        >>> from im2col import window_geometry
        >>> window_geometry((4,), 3, padding=1).addresses(channels=2).matrix()
        array([[-1,  0,  1, -1,  4,  5],
               [ 0,  1,  2,  4,  5,  6],
               [ 1,  2,  3,  5,  6,  7],
               [ 2,  3, -1,  6,  7, -1]])
        """
        positions, taps = self.shape
        begin = integer("first", first, 0)
        end = positions if stop is None else integer("stop", stop, 0)
        if not begin <= end <= positions:
            raise ArgumentError(
                f"positions {begin} to {end} are not among the {positions} that there are; pass first and stop with "
                f"first <= stop <= {positions}"
            )
        self._require_64_bits()
        try:
            found = np.empty((end - begin, taps), np.int64)
            found[:] = self.position_offsets[begin:end, None]
            found += self.tap_offsets + self.base
            found[~self._inside(begin, end)] = -1
        except (MemoryError, ValueError) as cause:  # ValueError: more bytes than there are addresses
            raise MemoryBudgetError(
                f"the addresses of {end - begin} positions and {taps} taps would take "
                f"{format_bytes(8 * (end - begin) * taps)}, which the system does not give; pass first and stop, and "
                "work on some positions at a time"
            ) from cause
        return found

    def _inside(self, first: int, stop: int) -> NDArray[np.bool_]:
        """Return which entries of some positions are pixels, (stop - first, taps)."""
        g = self.geometry
        stops = np.unravel_index(np.arange(first, stop), g.output_shape)
        inside = np.ones((stop - first, *g.kernel_size), bool)
        for axis, at in enumerate(stops):
            bounds = g.taps_inside(axis, at)
            taps = np.arange(g.kernel_size[axis])
            along = (bounds[:, :1] <= taps) & (taps < bounds[:, 1:])
            inside &= along.reshape(-1, *(n if i == axis else 1 for i, n in enumerate(g.kernel_size)))
        of_a_channel = inside.reshape(stop - first, g.taps)
        if self.tap_order == "channel-first":
            return np.tile(of_a_channel, (1, self.channels))
        return np.repeat(of_a_channel, self.channels, axis=1)

    def _require_64_bits(self) -> None:
        """Raise where addresses in an array would come round again as others."""
        g = self.geometry
        if 0 in self.shape:
            return
        ends = zip(g.pixel(0, 0), g.pixel(g.positions - 1, g.taps - 1), self._pixel_strides, strict=True)
        farthest = (self.channels - 1) * self._channel_stride
        farthest += sum((abs(first) + abs(last)) * stride for first, last, stride in ends)
        if farthest > _GREATEST:
            raise ArgumentError(
                f"strides {self.strides} lead up to {farthest} away, beyond the {_GREATEST} that 64 bits hold; ask for "
                "one address at a time, or pass strides in a larger unit"
            )

    @lazy
    def _pixel_strides(self) -> tuple[int, ...]:
        return Layout(self.layout).spatial_shape(self.strides)

    @property
    def _channel_stride(self) -> int:
        return self.strides[self.layout.index(CHANNEL)] if CHANNEL in self.layout else 0


def addresses_of(geometry: _Windows, channels: object, layout: Any, tap_order: Any, strides: object) -> Addresses:
    """Return addresses, all arguments checked; they are those of `Geometry.addresses`."""
    count = 1 if channels is None else integer("channels", channels, 0)
    axes = _layout(geometry, layout, has_channels=channels is not None)
    order = check_choice("tap_order", tap_order, TAP_ORDERS)
    lengths = axes.from_canonical_shape(1, count, geometry.spatial_shape)
    steps = row_major(lengths)
    if strides is not None:
        given = plain(strides) if is_sequence(strides) else ()
        if len(given) != len(lengths):
            raise ArgumentError(
                f"strides must be one integer for each axis of layout {axes.axes!r}, such as {steps}, got "
                f"{shown(strides)}"
            )
        steps = tuple(integer("an entry of strides", step, 0) for step in given)
    return Addresses(geometry, count, axes.axes, steps, order)


def _layout(geometry: _Windows, layout: Any, *, has_channels: bool) -> Layout:
    """Return the axes of one image."""
    if layout is None:
        return default(geometry.ndim + has_channels, geometry.ndim)
    axes = parse(layout)
    if axes.has_batch:
        raise LayoutError(
            f"layout {axes.axes!r} has a batch but addresses are those of one image; leave N out, and add its stride"
        )
    if axes.has_channels and not has_channels:
        raise LayoutError(f"layout {axes.axes!r} has channels but none are given; pass channels=1, or their number")
    if has_channels and not axes.has_channels:
        raise LayoutError(f"layout {axes.axes!r} has no channels but some are given; name their axis, C")
    return resolve(axes.axes, geometry.ndim + has_channels, geometry.ndim)
