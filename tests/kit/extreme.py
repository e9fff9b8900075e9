"""Layers at the edges of use, drawn from a seed: long kernels, windows beyond the image, huge strides, thin images."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]


class Extreme(NamedTuple):
    """Arguments of `conv`: shapes, and window options."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    options: dict[str, Any]

    @property
    def pads(self) -> list[tuple[int, int]]:
        """The padding, in numbers."""
        k = len(self.w) - 2
        spans = [d * (n - 1) + 1 for n, d in zip(self.w[2:], self.options["dilation"], strict=True)]
        if isinstance(self.options["padding"], tuple):
            return list(self.options["padding"])
        if self.options["padding"] == "full":
            return [(span - 1, span - 1) for span in spans]
        pads = []
        for n, span, s in zip(self.spatial, spans, self.options["stride"], strict=True):
            total = max(0, (-(-n // s) - 1) * s + span - n)
            pads.append((total // 2, total - total // 2))
        assert len(pads) == k
        return pads

    @property
    def spatial(self) -> tuple[int, ...]:
        """Sides of the image."""
        return self.x[2:] if self.options["layout"][1] == "C" else self.x[1:-1]

    @property
    def output(self) -> tuple[int, ...]:
        """Sides of the map."""
        o = self.options
        sides = zip(self.spatial, self.w[2:], o["stride"], o["dilation"], self.pads, strict=True)
        return tuple((n + sum(pad) - d * (k - 1) - 1) // s + 1 for n, k, s, d, pad in sides)

    @property
    def products(self) -> int:
        """Products of one filter and one channel, padded ones included."""
        return math.prod(self.output) * math.prod(self.w[2:])


def extremes(seed: int, scale: float = 1.0) -> Iterator[Extreme]:
    """Yield layers without end, the same for a seed; `scale` makes all of them smaller."""
    rng = random.Random(seed)  # noqa: S311 (layers, not keys)
    while True:
        yield _extreme(rng, scale)


def _extreme(rng: random.Random, scale: float) -> Extreme:
    k = rng.choice((1, 1, 2, 2, 2, 3))
    most = max(2, int({1: 4000, 2: 64, 3: 14}[k] * scale))
    spatial, kernel = [rng.randint(1, most) for _ in range(k)], [rng.randint(1, 5) for _ in range(k)]
    stride, dilation, axis = [1] * k, [1] * k, rng.randrange(k)
    kind = rng.choice(("long", "beyond", "dilated", "strided", "thin", "flat", "mixed"))
    if kind == "long":
        kernel[axis] = rng.randint(most // 2, 2 * most)
    elif kind == "beyond":
        kernel = [rng.randint(n, 2 * n + most // 2) for n in spatial]
    elif kind == "dilated":
        dilation = [rng.randint(1, 3 * n + 1) for n in spatial]
    elif kind == "strided":
        stride = [rng.choice((1, 2, 3, 5, 17, 1000, 2000)) for _ in spatial]
    elif kind == "thin":
        spatial = [rng.choice((1, 2, 3)) for _ in range(k)]
        spatial[axis], kernel = int(3000 * scale), [rng.randint(1, 9) for _ in range(k)]
    elif kind == "flat":
        spatial = [1] * k
        spatial[axis], kernel[axis] = rng.randint(1, int(2000 * scale)), rng.randint(1, int(300 * scale))
    else:
        kernel = [rng.randint(1, max(1, int({1: 500, 2: 40, 3: 9}[k] * scale))) for _ in range(k)]
        dilation, stride = ([rng.choice((1, 2, 3, 7)) for _ in range(k)] for _ in range(2))
    spans = [d * (n - 1) + 1 for n, d in zip(kernel, dilation, strict=True)]
    padding: Any = rng.choice(("full", "same", "some"))
    if padding == "some":
        pairs = [(rng.randint(0, span), rng.randint(0, span)) for span in spans]
        padding = tuple((max(a, span - n), b) for (a, b), span, n in zip(pairs, spans, spatial, strict=True))
    groups, channels, filters = rng.choice(
        (
            *((1, c, rng.choice((1, 2, 3, 8, 20, 37, 64))) for c in (1, 2, 3, 8, 16, 40)),
            (4, 2, 3),
            (16, 1, 1),
            (37, 1, 1),
        )
    )
    letters = {1: "W", 2: "HW", 3: "DHW"}[k]
    layout = rng.choice((f"NC{letters}", f"N{letters}C"))
    shape = (1, groups * channels, *spatial) if layout[1] == "C" else (1, *spatial, groups * channels)
    options = {
        "stride": tuple(stride),
        "padding": padding,
        "dilation": tuple(dilation),
        "groups": groups,
        "layout": layout,
    }
    return Extreme(shape, (groups * filters, channels, *kernel), options)


def exact(layer: Extreme, x: Array, w: Array) -> Array:
    """Return the convolution of small integers, tap by tap over slices of the padded image."""
    o, k = layer.options, len(layer.w) - 2
    last = o["layout"][1] != "C"
    image = np.moveaxis(x, -1, 1) if last else x
    padded = np.pad(image.astype(np.float64), ((0, 0), (0, 0), *layer.pads))
    groups, filters = o["groups"], len(w) // o["groups"]
    sums = np.zeros((1, groups, filters, *layer.output))
    maps = padded.reshape(1, groups, -1, *padded.shape[2:])
    factors = w.astype(np.float64).reshape(groups, filters, *w.shape[1:])
    for tap in np.ndindex(*w.shape[2:]):
        place = tuple(
            slice(t * d, t * d + s * (n - 1) + 1, s)
            for t, d, s, n in zip(tap, o["dilation"], o["stride"], layer.output, strict=True)
        )
        pixels = maps[(slice(None), slice(None), slice(None), *place)]
        if pixels.any():
            sums += np.einsum("ngc...,gfc->ngf...", pixels, factors[(..., *tap)])
    result = sums.reshape(1, groups * filters, *layer.output)
    assert len(result.shape) == k + 2
    return np.moveaxis(result, 1, -1) if last else result
