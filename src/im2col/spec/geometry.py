"""Which pixel goes where: the one index map that everything else reads."""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import GeometryError, naming, shown
from ..importing import importing
from ..memory import lazy
from .arguments import integer, is_sequence, numbered, plain, word
from .strides import offsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from .addresses import Addresses
    from .layout import TapOrder

_MOST_STEP = (1 << 31) - 1
"""The greatest step beyond an image's end: times the bytes of a line of an image it is still an address."""
Pairs = tuple[tuple[int, int], ...]
"""One (before, after) pair of pixel counts for each spatial axis."""
Window = int | tuple[int, ...]
"""A window argument: one value for all spatial axes, or one each."""
Axes = str | tuple[str, ...]
"""The letters of the spatial axes, or a word for each: what errors call them."""


@dataclass(frozen=True)
class Geometry:
    """A window sliding over an image: from sizes to output shape and index map.

    The object is immutable and hashable, so that plans and caches can be keyed by it. It is validated
    when it is made; everything below trusts it. Users' arguments, with ints for all axes and padding
    by name, become a geometry in `im2col.spec.padding.resolve_geometry`.

    Parameters
    ----------
    spatial_shape : tuple of int
        The image's spatial axes, in pixels, without padding.
    kernel_size, stride, dilation : tuple of int
        One value an axis, each at least 1.
    padding : tuple of (int, int)
        Pixels added (before, after) each axis, each at least 0.
    axes : str or tuple of str, optional
        The letters of the spatial axes, or words for them, for errors of whoever makes a geometry of other arguments;
        errors name `Geometry` itself if left out. No part of the geometry.

    Raises
    ------
    GeometryError
        If the window spans more than the padded image along some axis.

    Notes
    -----
    The number of stops along an axis is ``floor((n + p - d(k-1) - 1) / s) + 1`` with ``p`` the whole
    padding of the axis. The form ``floor((n + p - k + 1) / s)``, often printed, is wrong when ``s > 1``
    does not divide the numerator [1]_.

    References
    ----------
    .. [1] V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning",
       arXiv:1603.07285, relationship 6.

    Examples
    --------
    >>> g = Geometry((5, 5), (3, 3), (2, 2), ((0, 0), (1, 1)), (1, 1))
    >>> g.output_shape
    (2, 3)
    """

    spatial_shape: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    axes: InitVar[Axes] = ""

    def __post_init__(self, axes: Axes) -> None:
        names = [word(each) or "" for each in (axes if type(axes) is tuple else word(axes) or "")]
        with naming(None if names else "Geometry"):
            self._validate(names)

    def _validate(self, axes: list[str]) -> None:
        fields = (self.spatial_shape, self.kernel_size, self.stride, self.padding, self.dilation)
        lengths = [len(plain(v)) if is_sequence(v) else None for v in fields]
        if lengths[0] in (0, None) or len(set(lengths)) != 1:
            raise GeometryError(
                f"a geometry needs one value for each of its spatial axes, at least one axis; got {shown(fields)} for "
                "spatial_shape, kernel_size, stride, padding and dilation; window_geometry takes integers for all axes "
                "and padding by name"
            )
        pairs = plain(self.padding)
        if any(not is_sequence(pair) or len(plain(pair)) != 2 for pair in pairs):
            raise GeometryError(
                f"padding must be one (before, after) pair for each spatial axis, got {shown(self.padding)}"
            )
        object.__setattr__(self, "spatial_shape", tuple(integer("spatial_shape", n, 0) for n in plain(fields[0])))
        for name in ("kernel_size", "stride", "dilation"):
            values = tuple(integer(name, v, 1) for v in plain(getattr(self, name)))
            object.__setattr__(self, name, values)
        pads = tuple(tuple(integer("padding", p, 0) for p in plain(pair)) for pair in pairs)
        object.__setattr__(self, "padding", pads)
        for i, (span, size) in enumerate(zip(self.span, self.padded_shape, strict=True)):
            axis = axes[i] if i < len(axes) else str(i)
            for name, step in (("stride", self.stride[i]), ("dilation", self.dilation[i])):
                if step > max(size, _MOST_STEP):
                    raise GeometryError(
                        f"{name} {step} is more than the {size} pixels of axis {axis} of the padded image; use at most "
                        f"{max(size, _MOST_STEP)}, which steps over all of them"
                    )
            if span > size:
                if size == 0:
                    raise GeometryError(
                        f"axis {axis} of the image is empty, so that no window fits; pass an image of at least {span} "
                        "along it"
                    )
                kernel, dilation = self.kernel_size[i], self.dilation[i]
                more = " more" if any(self.padding[i]) else ""
                remedy = "lower the dilation" if dilation > 1 else "use a smaller kernel"
                raise GeometryError(
                    f"the kernel spans {span} pixels (size {kernel}, dilation {dilation}) but axis {axis} of the "
                    f"padded image has {size}; pad by at least {-((size - span) // 2)}{more} on each side or {remedy}"
                )

    @property
    def ndim(self) -> int:
        """How many spatial axes there are."""
        return len(self.spatial_shape)

    @lazy
    def span(self) -> tuple[int, ...]:
        """Pixels from a window's first tap to its last, ``d(k-1)+1``, for each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True))

    @lazy
    def padded_shape(self) -> tuple[int, ...]:
        """The spatial axes with their padding."""
        return tuple(n + a + b for n, (a, b) in zip(self.spatial_shape, self.padding, strict=True))

    @lazy
    def output_shape(self) -> tuple[int, ...]:
        """How often the window stops along each axis."""
        return tuple((n - span) // s + 1 for n, span, s in zip(self.padded_shape, self.span, self.stride, strict=True))

    @lazy
    def positions(self) -> int:
        """Stops of the window in all: rows of the column matrix."""
        return math.prod(self.output_shape)

    @lazy
    def taps(self) -> int:
        """Elements of the window in one channel."""
        return math.prod(self.kernel_size)

    @lazy
    def is_padded(self) -> bool:
        """Whether any axis has padding."""
        return any(a or b for a, b in self.padding)

    def unpadded(self) -> Geometry:
        """Return the same windows over the padded image, as a geometry that has no padding.

        Returns
        -------
        Geometry
            With ``spatial_shape = self.padded_shape``; output shape and taps are the same.
        """
        return Geometry(self.padded_shape, self.kernel_size, self.stride, ((0, 0),) * self.ndim, self.dilation)

    # The index map. Position o and tap t of an axis meet at coordinate o·s + t·d of the padded image.

    def position_strides(self, pixel_strides: Sequence[int]) -> tuple[int, ...]:
        """Return the steps of the output's axes through the padded image's memory.

        Parameters
        ----------
        pixel_strides : sequence of int
            Strides of the padded image's spatial axes, in any unit (bytes or elements).

        Returns
        -------
        tuple of int
            In the same unit: moving one stop along axis i moves this far.
        """
        return tuple(p * s for p, s in zip(pixel_strides, self.stride, strict=True))

    def tap_strides(self, pixel_strides: Sequence[int]) -> tuple[int, ...]:
        """Return the steps of the kernel's axes through the padded image's memory.

        Parameters
        ----------
        pixel_strides : sequence of int
            Strides of the padded image's spatial axes, in any unit (bytes or elements).

        Returns
        -------
        tuple of int
            In the same unit: moving one tap along axis i moves this far.
        """
        return tuple(p * d for p, d in zip(pixel_strides, self.dilation, strict=True))

    def position_offsets(self, pixel_strides: Sequence[int]) -> NDArray[np.int64]:
        """Return where each position starts in the padded image's memory.

        Parameters
        ----------
        pixel_strides : sequence of int
            Strides of the padded image's spatial axes, in any unit.

        Returns
        -------
        ndarray of int64, shape (positions,)
            ``base + position_offsets[p] + tap_offsets[t]`` is the address of entry (p, t) of the column
            matrix: this table and `tap_offsets` are im2col, as addresses.

        Examples
        --------
        >>> g = Geometry((3, 4), (2, 2), (1, 2), ((0, 0), (0, 0)), (1, 1))
        >>> g.position_offsets((4, 1))
        array([0, 2, 4, 6])
        >>> g.tap_offsets((4, 1))
        array([0, 1, 4, 5])
        """
        return offsets(self.output_shape, self.position_strides(pixel_strides))

    def tap_offsets(self, pixel_strides: Sequence[int]) -> NDArray[np.int64]:
        """Return how far each tap lies from its position's first pixel.

        Parameters
        ----------
        pixel_strides : sequence of int
            Strides of the padded image's spatial axes, in any unit.

        Returns
        -------
        ndarray of int64, shape (taps,)
            In the order of the kernel's axes, the last one fastest.
        """
        return offsets(self.kernel_size, self.tap_strides(pixel_strides))

    def first_pixel(self, pixel_strides: Sequence[int]) -> int:
        """Return where the first tap of the first position lies, from the first pixel of the image without padding.

        Parameters
        ----------
        pixel_strides : sequence of int
            Strides of the image's spatial axes, in any unit.

        Returns
        -------
        int
            In the same unit; not positive.
        """
        return -sum(before * p for (before, _), p in zip(self.padding, pixel_strides, strict=True))

    def taps_inside(self, axis: int, positions: ArrayLike) -> NDArray[np.int64]:
        """Return which taps of an axis meet the image, and not its padding, at given positions.

        Parameters
        ----------
        axis : int
        positions : array_like of int, (n,)
            Along that axis.

        Returns
        -------
        ndarray of int64, (n, 2)
            Taps first <= t < stop; 0 and 0 where there is none.

        Examples
        --------
        >>> Geometry((5,), (3,), (2,), ((1, 1),), (1,)).taps_inside(0, range(3))
        array([[1, 3],
               [0, 3],
               [0, 2]])
        """
        n, k, d = self.spatial_shape[axis], self.kernel_size[axis], self.dilation[axis]
        start = np.asarray(positions, np.int64) * self.stride[axis] - self.padding[axis][0]
        taps = np.clip(np.stack([-(start // d), -((start - n) // d)], axis=-1), 0, k)
        return np.where(taps[:, :1] < taps[:, 1:], taps, 0)

    def positions_inside(self, axis: int) -> list[tuple[int, int]]:
        """Return at which positions of an axis each tap meets the image, and not its padding.

        Returns
        -------
        list of (int, int)
            For each tap positions first <= o < stop; 0 and 0 where there is none.

        Examples
        --------
        >>> Geometry((5,), (3,), (2,), ((1, 1),), (1,)).positions_inside(0)
        [(1, 3), (0, 3), (0, 2)]
        """
        n, s, d, before = self.spatial_shape[axis], self.stride[axis], self.dilation[axis], self.padding[axis][0]
        shifts = (tap * d - before for tap in range(self.kernel_size[axis]))
        ranges = ((max(0, -(t // s)), min(self.output_shape[axis], -((t - n) // s))) for t in shifts)
        return [(first, stop) if first < stop else (0, 0) for first, stop in ranges]

    @naming("Geometry.addresses")
    def addresses(
        self,
        channels: int | None = None,
        *,
        layout: str | None = None,
        tap_order: TapOrder = "channel-first",
        strides: tuple[int, ...] | None = None,
    ) -> Addresses:
        """Return where each entry of the column matrix of an image lies in its memory.

        Parameters
        ----------
        channels : int, optional
            Of the image; None for one without an axis for them.
        layout : str, optional
            The image's axes, such as ``"HWC"``; if left out, the channels come first.
        tap_order : {"channel-first", "channel-last"}
            As for `im2col`.
        strides : tuple of int, optional
            How far neighbours along each axis of `layout` lie apart, in any unit: ``x.strides``, or lines that begin
            at multiples of 64 bytes. Those of a dense image, in elements, if left out.

        Returns
        -------
        Addresses
            Small: what grows with the image is made when it is asked for.

        Raises
        ------
        GeometryError, LayoutError, ArgumentError
            If an argument does not fit.

        Examples
        --------
        >>> a = Geometry((4, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)).addresses(3, layout="HWC")
        >>> a.base, a.shape, a.address(position=5, tap=0)
        (-15, (16, 27), 0)
        """
        with importing:
            from .addresses import addresses_of  # few programs ask for addresses

        return addresses_of(self, channels, layout, tap_order, strides)

    @naming("Geometry.pixel")
    def pixel(self, position: int, tap: int) -> tuple[int, ...]:
        """Return the image coordinates that one entry of the column matrix shows.

        Parameters
        ----------
        position, tap : int
            Row-major numbers, ``0 <= position < positions`` and ``0 <= tap < taps``.

        Returns
        -------
        tuple of int
            One coordinate an axis in the image without padding: below 0, or at least the axis's
            length, where the entry lies in the padding.

        Raises
        ------
        GeometryError
            If there is no such position or tap.

        Examples
        --------
        >>> Geometry((5, 5), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)).pixel(position=4, tap=0)
        (1, 1)
        """
        places = []
        for name, value, shape in (("position", position, self.output_shape), ("tap", tap, self.kernel_size)):
            places.append(np.unravel_index(numbered(name, value, math.prod(shape)), shape))
        stops, steps = places
        return tuple(
            int(o) * s + int(t) * d - before
            for o, t, s, d, (before, _) in zip(stops, steps, self.stride, self.dilation, self.padding, strict=True)
        )
