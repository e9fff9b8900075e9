"""A transpose as one product and a fold: the columns of all taps at once, then summed where they belong.

With a stride as long as the kernel there are as many phases as taps, each a convolution of one tap, and what they cost
is their calls. The product of the operand with all taps is one convolution of one tap, whose filters are (channel,
tap), and the fold (`col2im`) adds its rows up. A pixel's sum is first over the filters, for each tap, then over taps.
Windows that lie side by side (patches) have nothing to add up: their columns are copied where they belong.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ..engine import gather, scratch
from ..importing import importing
from ..matrix.fold import Fold
from ..spec import layout as layouts
from ..spec.geometry import Geometry
from ..spec.problem import Problem, accumulator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..algorithms.contract import Runner
    from ..spec.transposed import Transposed

    Array = NDArray[Any]

_LONG_ROW = 4
"""Pixels of a patch's row from which neighbouring positions are copied as fast as those of the row."""
_FEW_PHASES = 16
"""Phases up to which their calls cost less than a fold."""
_BYTES_A_PHASE = 12 << 10
"""Of columns up to which a phase is worth less than its call; docs/decisions.md has the measurement."""
_FEW_PATCH_PHASES, _PATCH_BYTES_A_PHASE = 4, 192 << 10
"""The same where columns are copied and not summed."""
_FEW_CHANNELS = 8
"""Channels of a group that leave most lanes of a phase empty, which has no other filters."""


class Product(NamedTuple):
    """How a transpose is one product and a fold, image by image.

    Parameters
    ----------
    transposed : Transposed
    problem : Problem
        The product with one image: a convolution of one tap, from the operand to its columns.
    fold : Fold or None
        How the columns of one image are summed; None where each pixel is in one of them.
    order : tuple of int
        The axes (channel, *kernel, *spatial) of the columns, as they lie in memory.
    reached : tuple of slice
        The part of the result's spatial axes that windows cover; behind it there is more only if that is asked for.
    """

    transposed: Transposed
    problem: Problem
    fold: Fold | None
    order: tuple[int, ...]
    reached: tuple[slice, ...]

    @classmethod
    def of(cls, t: Transposed) -> Self:
        """Return the product and the fold of a transpose."""
        k, axes = len(t.image), t.layout.spatial
        ones, order = (1,) * k, tuple(range(1 + 2 * k))
        sums = accumulator(t.dtype)
        apart = _side_by_side(t)
        if apart:
            order = _order(t)
        problem = Problem(
            layout=layouts.parse(layouts.BATCH + (layouts.CHANNEL + axes if order[0] == 0 else axes + layouts.CHANNEL)),
            geometry=Geometry(t.spatial_shape, ones, ones, ((0, 0),) * k, ones, axes),
            batch=1,
            channels=t.filters,
            filters=t.channels * math.prod(t.kernel_size),
            groups=t.groups,
            x_dtype=t.x_dtype,
            w_dtype=t.w_dtype,
            dtype=sums,
            padding_mode="constant",
            padding_bytes=bytes(t.x_dtype.itemsize),
            activation=None,
            flip=False,
            has_bias=False,
            workspace_limit=t.workspace_limit,
            strides=t.layout.strides(t.batch, t.filters, t.spatial_shape, t.x_dtype.itemsize),
        )
        beyond = [max(0, -after) for _, after in t.pads]
        image = tuple(n - more for n, more in zip(t.image, beyond, strict=True))
        pads = tuple((before, max(0, after)) for before, after in t.pads)
        geometry = Geometry(image, t.kernel_size, t.stride, pads, t.dilation, axes)
        fold = None if apart else Fold((1, t.channels), geometry, sums, sums, "constant", "sum")
        return cls(t, problem, fold, order, tuple(slice(0, n) for n in image))

    @property
    def columns_bytes(self) -> int:
        """Bytes of the columns of one image."""
        return self.problem.output_bytes

    def workspace_bytes(self, threads: int) -> int:
        """Return the bytes that are taken beside the product's: the columns, the sums, and what the fold takes."""
        t, sums = self.transposed, self.problem.dtype
        finished = 0 if self._plain else math.prod(t.image) * t.channels * sums.itemsize
        folding = self.fold.workspace_bytes(threads) if self.fold is not None else 0
        return self.columns_bytes + finished + folding

    @property
    def _plain(self) -> bool:
        """Whether the sums are the result."""
        t = self.transposed
        return t.dtype == self.problem.dtype and t.activation is None and not t.has_bias

    def weights(self, w: Array) -> Array:
        """Return the product's weights, of those of a transpose: (channels, filters of a group, *kernel)."""
        t = self.transposed
        k = len(t.image)
        columns = np.moveaxis(w, 1, -1).transpose(*(axis for axis in self.order if axis <= k), k + 1)
        return columns.reshape(self.problem.filters, t.filters // t.groups, *[1] * k)

    def run(self, product: Runner, bias: Array | None, x: Array, out: Array, threads: int) -> None:
        """Overwrite `out`, (N, channels, *image), with the transpose of `x`, (N, filters, *spatial)."""
        with importing:
            from ..algorithms.epilogue import finish  # as all of that folder, it is loaded by those who compute

        t, sums = self.transposed, self.problem.dtype
        sizes = (t.channels, *t.kernel_size, *t.spatial_shape)
        columns = scratch.empty((1, *(sizes[axis] for axis in self.order)), sums)
        of_filters = self.problem.layout.to_canonical(
            columns.reshape(self.problem.layout.from_canonical_shape(1, self.problem.filters, t.spatial_shape))
        )
        folded = columns.transpose(0, *(1 + self.order.index(axis) for axis in range(len(sizes))))
        whole = tuple(s.stop for s in self.reached) == t.image
        total = None if self._plain else scratch.empty((1, *out.shape[1:]), sums)
        for n in range(len(x)):
            image = out[n : n + 1] if total is None else total
            product(x[n : n + 1], of_filters)
            if not whole:
                image[...] = 0
            with np.errstate(all="ignore"):
                self._fold(image[(slice(None), slice(None), *self.reached)], folded, threads)
                if total is not None:
                    finish(total[0], bias, t.activation, out[n])

    def _fold(self, image: Array, columns: Array, threads: int) -> None:
        """Overwrite an image with the sums of its columns, (1, channels, *kernel, *spatial)."""
        if self.fold is not None:
            self.fold.run(image, columns, threads)
            return
        t = self.transposed
        k = len(t.image)
        sides = itertools.chain.from_iterable(zip(t.spatial_shape, t.kernel_size, strict=True))
        patches = image.reshape(1, t.channels, *sides, copy=False)
        axes = itertools.chain.from_iterable((2 + k + axis, 2 + axis) for axis in range(k))
        gather.copy(patches, columns.transpose(0, 1, *axes), threads)


def _side_by_side(t: Transposed) -> bool:
    """Whether windows meet and do not overlap, from the first pixel on."""
    windows = zip(t.kernel_size, t.stride, t.dilation, t.pads, strict=True)
    return all(k == s and (d == 1 or k == 1) and before == 0 and after <= 0 for k, s, d, (before, after) in windows)


def _order(t: Transposed) -> tuple[int, ...]:
    """Return the axes (channel, *kernel, *spatial) of columns in an order that is quickly copied into the image.

    That is the order of the weights, which are packed anew in each call, and of positions along rows; where the patches
    are too small for that, each patch lies in one piece.
    """
    k = len(t.image)
    kernel, spatial = range(1, 1 + k), range(1 + k, 1 + 2 * k)
    if t.kernel_size[-1] >= _LONG_ROW:
        return (0, *kernel, *spatial)
    last = t.groups == 1 and t.layout.axes.endswith(layouts.CHANNEL)
    return (*spatial, *kernel, 0) if last else (*spatial, 0, *kernel)


def product_of(transposed: Transposed, requested: str) -> Product | None:
    """Return a transpose as one product and a fold, where that is faster than its phases; None where it is not.

    Parameters
    ----------
    transposed : Transposed
    requested : str
        The algorithm that the user asked for: the reference has nothing in common with the fold.
    """
    t = transposed
    phases = math.prod(
        min(stride, kernel, n) for stride, kernel, n in zip(t.stride, t.kernel_size, t.image, strict=True)
    )
    apart = _side_by_side(t)
    few = (_FEW_PATCH_PHASES if t.channels > _FEW_CHANNELS * t.groups else 1) if apart else _FEW_PHASES
    if phases <= few or requested == "reference" or t.chunked:
        return None  # whether there is a product depends on the image's size
    product = Product.of(t)
    most = phases * (_PATCH_BYTES_A_PHASE if apart else _BYTES_A_PHASE)
    # However many images come together: the order of the sums must not depend on that.
    return product if product.columns_bytes <= min(t.workspace_limit, most) else None
