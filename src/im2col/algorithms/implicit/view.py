"""How kernels see an image and a result: geometry and strides, normalised so that the loops are few and long.

The column matrix is never made; this is what stands for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...spec.geometry import Geometry
from ...spec.strides import dense_strides

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from ...spec.problem import Problem


LINE = 64
"""Bytes of a cache line."""
_COPIES_BYTES = 256 << 10
"""Of copies of small images, so that a core's second level of cache still holds them when they are read."""


class View(NamedTuple):
    """Where the pixels of image and result lie. All strides are bytes.

    Parameters
    ----------
    geometry : Geometry
        Of the windows. Axes that one loop can walk are merged.
    size : int
        Bytes of a pixel.
    image : int
        From one image of the batch to the next.
    channel : int
        From one channel to the next.
    pixel : tuple of int
        Along each spatial axis of the image.
    out_size, out_image, out_filter, out_position
        The same of the result.
    modes : tuple of str
        The padding mode of each spatial axis that has a border of the image's own pixels: there, taps are pixels at
        other addresses. ``"constant"`` for the others, whose padding is of zeros.
    fixed : bool
        Whether the order of sums must not depend on the image's size, nor on where its pixels lie.
    """

    geometry: Geometry
    size: int
    image: int
    channel: int
    pixel: tuple[int, ...]
    out_size: int
    out_image: int
    out_filter: int
    out_position: tuple[int, ...]
    modes: tuple[str, ...]
    fixed: bool = False

    @property
    def maps(self) -> bool:
        """Whether some axis has a border of the image's own pixels."""
        return any(mode != "constant" for mode in self.modes)

    @property
    def spread(self) -> int:
        """Elements of the result from one position of a row to the next; 0 where it is no such number."""
        step = self.out_position[-1]
        return step // self.out_size if step > 0 and step % self.out_size == 0 else 0


class Copy(NamedTuple):
    """A copy of an image that is read in its place: converted, padded, or in another order.

    Parameters
    ----------
    shape : tuple of int
        (C, *spatial), with the padding if it is part of the copy.
    strides : tuple of int
        Bytes.
    nbytes : int
    dtype : dtype
    pads : tuple of (int, int)
        Of each spatial axis, if the padding is part of the copy.
    fill : int
        What pads, where it contributes nothing.
    offset : int
        What is added to each pixel.
    why : str
        For people.
    step : tuple of int
        Pixels from one that is copied to the next, along each spatial axis.
    given : dtype
        Of the image.
    origin : tuple of int or None
        Strides of the dense image (N, C, *spatial), where its numbers are moved, or converted, and nothing else: a band
        at a time will do.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    nbytes: int
    dtype: np.dtype[Any]
    pads: tuple[tuple[int, int], ...]
    fill: int
    offset: int
    why: str
    step: tuple[int, ...]
    given: np.dtype[Any]
    origin: tuple[int, ...] | None = None

    @property
    def padded(self) -> bool:
        """Whether the padding is part of the copy."""
        return bool(self.pads)

    @property
    def pitch(self) -> int:
        """Bytes from one copy to the next where several images are copied: whole lines of the cache."""
        return -(-self.nbytes // LINE) * LINE

    def images(self, batch: int) -> int:
        """Return how many images of a batch are copied at a time: one, unless they are small."""
        return max(1, min(batch, _COPIES_BYTES // self.pitch))


class GroupShape(NamedTuple):
    """How many groups there are, and how many channels and filters each has."""

    groups: int
    channels: int
    filters: int


def view_of(
    geometry: Geometry,
    size: int,
    strides: Sequence[int],
    out_size: int,
    out_strides: Sequence[int],
    modes: Sequence[str] = (),
    *,
    fixed: bool = False,
) -> View:
    """Return the view of two arrays with canonical axes (N, C, *spatial) and (N, filters, *output).

    Trailing axes are merged where the window neither slides nor reaches over the last one's border: a 1×1 convolution
    is a product over one long axis of pixels. `modes` are those of the axes, all ``"constant"`` if there are none.
    """
    modes = tuple("constant" if not any(pair) else mode for pair, mode in zip(geometry.padding, modes, strict=False))
    modes = modes or ("constant",) * geometry.ndim
    g, pixel, position = geometry, tuple(strides[2:]), tuple(out_strides[2:])
    # Some kinds of tiles would take the taps of fewer axes in another order.
    while g.ndim > 1 and _merges(g, pixel, position) and (not fixed or g.taps == 1):
        width = g.spatial_shape[-1]
        g = Geometry(
            (*g.spatial_shape[:-2], g.spatial_shape[-2] * width),
            g.kernel_size[:-1],
            g.stride[:-1],
            g.padding[:-1],
            (*g.dilation[:-2], g.dilation[-2] * width),
        )
        pixel, position, modes = (*pixel[:-2], pixel[-1]), (*position[:-2], position[-1]), modes[:-1]
    return View(
        g, size, strides[0], strides[1], pixel, out_size, out_strides[0], out_strides[1], position, modes, fixed
    )


def _merges(g: Geometry, pixel: tuple[int, ...], position: tuple[int, ...]) -> bool:
    """Whether the last two spatial axes are one to the window and to both arrays."""
    width = g.spatial_shape[-1]
    return (
        g.kernel_size[-1] == g.stride[-1] == g.stride[-2] == 1
        and not any((*g.padding[-1], *g.padding[-2]))
        and pixel[-2] == width * pixel[-1]
        and position[-2] == width * position[-1]
    )


def with_rows(view: View, tall: bool) -> View:
    """Return the view with a second-last axis of one row, where there is none or what there is are planes."""
    g, at = view.geometry, view.geometry.ndim - 1
    if at and not tall:
        return view

    def with_row(values: Sequence[Any], one: Any) -> tuple[Any, ...]:
        return (*values[:at], one, *values[at:])

    one_row = type(g)(
        with_row(g.spatial_shape, 1),
        with_row(g.kernel_size, 1),
        with_row(g.stride, 1),
        with_row(g.padding, (0, 0)),
        with_row(g.dilation, 1),
    )
    return view._replace(
        geometry=one_row,
        pixel=with_row(view.pixel, 0),
        out_position=with_row(view.out_position, 0),
        modes=with_row(view.modes, "constant"),
    )


def memory_order(problem: Problem) -> tuple[int, ...]:
    """Return the canonical axes (batch, channels, spatial) in the order of the problem's layout, the batch first."""
    canonical = "NC" + problem.layout.spatial
    present = [canonical.index(a) for a in problem.layout.axes if a != "N"]
    return (0, *[1] * (1 not in present), *present)


def share_seen(view: View) -> float:
    """Return the share of the taps that see a pixel and no zero of the padding, over all positions."""
    g, share = view.geometry, 1.0
    for axis, (k, count) in enumerate(zip(g.kernel_size, g.output_shape, strict=True)):
        if view.modes[axis] == "constant":
            share *= sum(stop - first for first, stop in g.positions_inside(axis)) / (k * count)
    return share


def without(absent: list[int], strides: tuple[int, ...]) -> tuple[int, ...]:
    """Return strides in which axes that the layout lacks have none, as NumPy gives them."""
    return tuple(0 if i in absent else s for i, s in enumerate(strides))


def pitched(axes: tuple[int, ...], shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Return the strides of a copy whose rows of the innermost axis start in different sets of the cache.

    Where channels are innermost, a tile reads one line of each of its positions at a time. An odd number of lines
    from one to the next lets them lie in the first level of cache together.
    """
    sizes = list(shape)
    if axes[-1] == 0 and sizes[0] * size >= LINE:
        lines = -(-sizes[0] * size // LINE)
        sizes[0] = (lines | 1) * LINE // size
    return dense_strides(axes, sizes, size)
