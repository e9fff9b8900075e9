"""A transpose as one product and a fold: the columns of all taps at once, then summed where they belong.

With a stride as long as the kernel there are as many phases as taps, each a convolution of one tap, and what they cost
is their calls. The product of the operand with all taps is one convolution of one tap, whose filters are (channel,
tap), and the fold (`col2im`) adds its rows up. A pixel's sum is first over the filters, for each tap, then over taps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ..engine import scratch
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

_FEW_PHASES = 16
"""Phases up to which their calls cost less than a fold."""
_BYTES_A_PHASE = 12 << 10
"""Of columns up to which a phase is worth less than its call; docs/decisions.md has the measurement."""


class Product(NamedTuple):
    """How a transpose is one product and a fold, image by image.

    Parameters
    ----------
    transposed : Transposed
    problem : Problem
        The product with one image: a convolution of one tap, from the operand to its columns.
    fold : Fold
        How the columns of one image are summed.
    reached : tuple of slice
        The part of the result's spatial axes that windows cover; behind it there is more only if that is asked for.
    """

    transposed: Transposed
    problem: Problem
    fold: Fold
    reached: tuple[slice, ...]

    @classmethod
    def of(cls, t: Transposed) -> Self:
        """Return the product and the fold of a transpose."""
        ones, axes = (1,) * len(t.image), t.layout.spatial
        sums = accumulator(t.dtype)
        problem = Problem(
            layout=layouts.parse(layouts.BATCH + layouts.CHANNEL + axes),
            geometry=Geometry(t.spatial_shape, ones, ones, ((0, 0),) * len(ones), ones, axes),
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
        fold = Fold((1, t.channels), geometry, sums, sums, "constant", "sum")
        return cls(t, problem, fold, tuple(slice(0, n) for n in image))

    @property
    def columns_bytes(self) -> int:
        """Bytes of the columns of one image."""
        return self.problem.output_bytes

    def workspace_bytes(self, threads: int) -> int:
        """Return the bytes that are taken beside the product's: the columns, the sums, and what the fold takes."""
        t, sums = self.transposed, self.problem.dtype
        finished = 0 if self._plain else math.prod(t.image) * t.channels * sums.itemsize
        return self.columns_bytes + finished + self.fold.workspace_bytes(threads)

    @property
    def _plain(self) -> bool:
        """Whether the sums are the result."""
        t = self.transposed
        return t.dtype == self.problem.dtype and t.activation is None and not t.has_bias

    def weights(self, w: Array) -> Array:
        """Return the product's weights, of those of a transpose: (channels, filters of a group, *kernel)."""
        t = self.transposed
        return np.moveaxis(w, 1, -1).reshape(self.problem.filters, t.filters // t.groups, *[1] * len(t.image))

    def run(self, product: Runner, bias: Array | None, x: Array, out: Array, threads: int) -> None:
        """Overwrite `out`, (N, channels, *image), with the transpose of `x`, (N, filters, *spatial)."""
        with importing:
            from ..algorithms.epilogue import finish  # as all of that folder, it is loaded by those who compute

        t, sums = self.transposed, self.problem.dtype
        columns = scratch.empty((1, self.problem.filters, *t.spatial_shape), sums)
        folded = columns.reshape(1, t.channels, *t.kernel_size, *t.spatial_shape)
        whole = self.fold.geometry.spatial_shape == t.image
        total = None if self._plain else scratch.empty((1, *out.shape[1:]), sums)
        for n in range(len(x)):
            image = out[n : n + 1] if total is None else total
            product(x[n : n + 1], columns)
            if not whole:
                image[...] = 0
            with np.errstate(all="ignore"):
                self.fold.run(image[(slice(None), slice(None), *self.reached)], folded, threads)
                if total is not None:
                    finish(total[0], bias, t.activation, out[n])


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
    if phases <= _FEW_PHASES or requested == "reference":
        return None
    product = Product.of(t)
    # However many images come together: the order of the sums must not depend on that.
    return product if product.columns_bytes <= min(t.workspace_limit, phases * _BYTES_A_PHASE) else None
